"""Records and run folders of schema 1, brought to today's names and identities.

Schema 1 knew classes by the path of their module, and players of a game by keys of the model.
Everything that has changed since stands here, once: it serves records when they are read, the
folders of old runs, and `dgmbench migrate`, which rewrites what is published.
"""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from omegaconf import OmegaConf

from benchmarks.config.catalogue import catalogue, names
from benchmarks.config.compose import compose_group
from benchmarks.config.identity import (
    LENGTH,
    SPLITS,
    determining_of,
    fingerprint,
    has_own_class,
    hash_of,
    own_data,
)
from benchmarks.core.errors import UserError

__all__ = ["MODULES", "RENAMED", "migrated", "migrated_config", "migrated_key", "moved"]

MODULES: dict[str, str] = {  # of schema 1 -> today's, where they differ
    "benchmarks.coverage_protocol": "benchmarks.evaluation.protocols.modes",
    "benchmarks.features.base": "benchmarks.evaluation.features.base",
    "benchmarks.features.cache": "benchmarks.evaluation.features.cache",
    "benchmarks.features.download": "benchmarks.evaluation.features.download",
    "benchmarks.features.inception": "benchmarks.evaluation.features.inception",
    "benchmarks.features.lenet": "benchmarks.evaluation.features.lenet",
    "benchmarks.features.network": "benchmarks.evaluation.features.network",
    "benchmarks.features.train_lenet": "benchmarks.evaluation.features.train_lenet",
    "benchmarks.latent_protocol": "benchmarks.evaluation.protocols.latents",
    "benchmarks.manifold_protocol": "benchmarks.evaluation.protocols.manifold",
    "benchmarks.metrics.base": "benchmarks.evaluation.metrics.base",
    "benchmarks.metrics.birthday": "benchmarks.evaluation.metrics.birthday",
    "benchmarks.metrics.bits_per_dim": "benchmarks.evaluation.metrics.bits_per_dim",
    "benchmarks.metrics.class_coverage": "benchmarks.evaluation.metrics.class_coverage",
    "benchmarks.metrics.classifier_score": "benchmarks.evaluation.metrics.classifier_score",
    "benchmarks.metrics.frechet": "benchmarks.evaluation.metrics.frechet",
    "benchmarks.metrics.kernel_distance": "benchmarks.evaluation.metrics.kernel_distance",
    "benchmarks.metrics.mean_nats": "benchmarks.evaluation.metrics.mean_nats",
    "benchmarks.metrics.memorisation": "benchmarks.evaluation.metrics.memorisation",
    "benchmarks.metrics.mode_coverage": "benchmarks.evaluation.metrics.mode_coverage",
    "benchmarks.metrics.nll_nats": "benchmarks.evaluation.metrics.nll_nats",
    "benchmarks.metrics.pair_panel": "benchmarks.evaluation.metrics.pair_panel",
    "benchmarks.metrics.prdc": "benchmarks.evaluation.metrics.prdc",
    "benchmarks.metrics.share_within": "benchmarks.evaluation.metrics.share_within",
    "benchmarks.metrics.stored": "benchmarks.evaluation.metrics.stored",
    "benchmarks.probe_protocol": "benchmarks.evaluation.protocols.probe",
    "benchmarks.protocols": "benchmarks.evaluation.protocols.samples",
    "lit_models.autoregressive.likelihoods": "lit_models.likelihoods.pixels",
    "lit_models.callbacks.watch": "lit_models.callbacks.process_watchdog",
    "lit_models.collectives": "lit_models.training.collectives",
    "lit_models.distributed": "lit_models.training.distributed",
    "lit_models.interruption": "lit_models.training.interruption",
    "lit_models.networks.conv_autoencoder": "lit_models.networks.convolutional.conv_autoencoder",
    "lit_models.networks.dcgan": "lit_models.networks.convolutional.dcgan",
    "lit_models.networks.gated_pixel_cnn": "lit_models.networks.causal.gated_pixel_cnn",
    "lit_models.networks.image_mlp": "lit_models.networks.dense.image_mlp",
    "lit_models.networks.infogan": "lit_models.networks.convolutional.infogan",
    "lit_models.networks.mlp": "lit_models.networks.dense.mlp",
    "lit_models.networks.pacgan": "lit_models.networks.dense.pacgan",
    "lit_models.networks.pixel_cnn": "lit_models.networks.causal.pixel_cnn",
    "lit_models.networks.pixel_cnn_pp": "lit_models.networks.causal.pixel_cnn_pp",
    "lit_models.networks.pixel_rnn": "lit_models.networks.causal.pixel_rnn",
    "lit_models.networks.recurrence": "lit_models.networks.causal.recurrence",
    "lit_models.networks.streaming": "lit_models.networks.causal.streaming",
    "lit_models.noise": "lit_models.training.noise",
    "lit_models.schedules": "lit_models.training.schedules",
    "lit_models.vae.likelihoods": "lit_models.likelihoods.observations",
}
RENAMED = {  # classes whose name has changed, or that have left their module's others
    "lit_models.autoregressive.likelihoods.CategoricalLikelihood": (
        "lit_models.likelihoods.pixels.CategoricalPixels"
    ),
    "lit_models.vae.lit_vae.StochasticLayer": "lit_models.vae.inference.StochasticLayer",
    "benchmarks.probe_protocol.ReconstructionProtocol": (
        "benchmarks.evaluation.protocols.reconstruction.ReconstructionProtocol"
    ),
    "benchmarks.protocols.LikelihoodProtocol": (
        "benchmarks.evaluation.protocols.likelihood.LikelihoodProtocol"
    ),
}
GAMES = ("GAN", "BEGAN")  # models of two players, by the last part of their paths
PLAYER = "lit_models.adversarial.player.Player"
OF_PLAYERS = {  # keys of a game's model in schema 1 -> today's; of a network, what begins so
    "optimizer_g": "generator.optimizer",
    "optimizer_d": "discriminator.optimizer",
    "ema_decay": "generator.ema_decay",
    "weight_clip": "discriminator.weight_clip",
    "generator": "generator.network",
    "discriminator": "discriminator.network",
}


def moved(target: str) -> str:
    """Return today's path of a class of schema 1; others, such as torch's, as they are."""
    if target in RENAMED:
        return RENAMED[target]
    module, _, name = target.rpartition(".")
    return f"{MODULES.get(module, module)}.{name}" if module else target


def migrated(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a record of schema 1 as those of schema 2.

    A run whose id is not that of its config, and a measurement whose protocol is another one
    today, keep their old identities, and so stay stale. What names a class of a user's own package
    is stale, too: schema 1 recorded no sources.
    """
    values = copy.deepcopy(values)
    old, config = values["run_id"], values.get("config", {})
    values["migrated_from"], values["schema_version"] = old, 2
    if values["experiment"] == "images":
        values["run_id"] = _images_ids(values["dataset"]).get(old, old)
    else:
        values["experiment"] = _migrated_name(values["experiment"])
        values["config"] = migrated_config(config)
        values["run_id"] = _migrated_id(old, config, values["config"])
    for key in ("overrides", "deviations"):
        values[key] = [_migrated_text(text, config) for text in values.get(key, [])]
    for evaluation in values.get("evaluations", []):
        mark = evaluation["fingerprint"]
        evaluation["fingerprint"] = _protocol_marks().get(mark, mark)
    return values


def _migrated_id(old: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return the id of a migrated config, if the old id was that of the old config."""
    hashed, _, rest = old.partition("-")
    plain = _plain(determining_of(before))
    if hash_of(plain)[:LENGTH] != hashed:
        return old
    if has_own_class(after):  # of which sources nobody knows: an id that no run of today has
        return f"{hash_of(['schema 1', plain])[:LENGTH]}-{rest}"
    return f"{fingerprint(determining_of(after))[:LENGTH]}-{rest}"


def migrated_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a run of schema 1 with today's classes and keys; today's as it is."""
    found = _with_targets(config, moved)
    if isinstance(found.get("model"), dict) and _has_old_players(found):
        found["model"] = _with_players(found["model"])
    return found


def _has_old_players(config: dict[str, Any]) -> bool:
    """Return whether a config is of a game whose players are keys of the model."""
    model = config.get("model")
    if not isinstance(model, dict) or "optimizer_g" not in model:
        return False
    return str(model.get("_target_")).rpartition(".")[2] in GAMES


def _with_players(model: dict[str, Any]) -> dict[str, Any]:
    """Return a game's model with its players composed."""
    found = {k: v for k, v in model.items() if k not in OF_PLAYERS}
    players: dict[str, dict[str, Any]] = {
        name: {"_target_": PLAYER} for name in ("generator", "discriminator")
    }
    for old, place in OF_PLAYERS.items():
        name, key = place.split(".")
        if old in model:
            players[name][key] = model[old]
    return {**found, **players}


def migrated_key(key: str, config: dict[str, Any]) -> str:
    """Return today's dotted key of one of schema 1, in the config of its run."""
    if not _has_old_players(config):
        return key
    before, model, rest = key.partition("model.")
    if before.strip("+~") or not model:
        return key
    first, dot, inner = rest.partition(".")
    return f"{before}model.{OF_PLAYERS.get(first, first)}{dot}{inner}"


def _migrated_text(text: str, config: dict[str, Any]) -> str:
    """Return an override, or a deviation that states one, with today's key and names."""
    before, equals, value = text.partition("=")
    *said, key = before.split(" ")
    if not (equals or key.startswith("~")):
        return text
    value = _migrated_name(value) if key == "experiment" else value
    return " ".join([*said, migrated_key(key, config)]) + equals + value


def _migrated_name(experiment: str) -> str:
    """Return the name that an experiment has today; one that is gone keeps its own."""
    try:
        return catalogue().experiment(experiment)
    except UserError:
        return experiment


def _with_targets(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            k: change(v) if k == "_target_" and isinstance(v, str) else _with_targets(v, change)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_with_targets(v, change) for v in value]
    return value


def _plain(value: Any) -> Any:
    """Return what schema 1 hashed: classes by their paths."""
    if isinstance(value, dict):
        return {str(k): _plain(value[k]) for k in sorted(value) if value[k] is not None}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _before(target: str) -> str:
    """Return the path that a class of today had in schema 1."""
    renamed = {new: old for old, new in RENAMED.items()}
    if target in renamed:
        return renamed[target]
    module, _, name = target.rpartition(".")
    modules = {new: old for old, new in MODULES.items()}
    return f"{modules.get(module, module)}.{name}"


@lru_cache(maxsize=1)
def _protocol_marks() -> dict[str, str]:
    """Return today's fingerprint of each protocol by that of schema 1."""
    found = {}
    for name in names("protocol"):
        cfg = OmegaConf.to_container(compose_group("protocol", name), resolve=True)
        if has_own_class(cfg):
            continue
        found[hash_of(_plain(_with_targets(cfg, _before)))] = fingerprint(cfg)
    return found


@lru_cache(maxsize=64)
def _images_ids(dataset: str) -> dict[str, str]:
    """Return today's id of the images of each split of a data set by that of schema 1."""
    if dataset not in names("datamodule"):
        return {}
    cfg: Any = OmegaConf.to_container(compose_group("datamodule", dataset), resolve=True)
    data = own_data(cfg)
    if has_own_class(data):
        return {}
    found = {}
    for split in SPLITS:
        old = hash_of(_plain([split, _with_targets(data, _before)]))[:LENGTH]
        found[f"{old}-r1-s0"] = f"{fingerprint([split, data])[:LENGTH]}-r1-s0"
    return found
