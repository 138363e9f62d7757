"""What several tests need: tiny models, tiny runs, a bare Trainer."""

import copy
import re
from collections.abc import Sequence
from functools import partial

import torch
import yaml
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf
from torch import nn

from benchmarks.config.catalogue import names
from benchmarks.config.compose import Composed, compose
from benchmarks.core.paths import CONFIGS
from lit_models.base import LitGenerativeModel
from lit_models.training import schedules
from lit_models.training.noise import Noise

METHODS = {  # those of the quick table, at a size for tests
    "ns_gan": "lucic2018/ns_gan_quick",
    "wgan": "lucic2018/wgan_quick",
    "wgan_gp": "lucic2018/wgan_gp_quick",
    "mm_gan": "lucic2018/mm_gan_quick",
    "lsgan": "lucic2018/lsgan_quick",
    "dragan": "lucic2018/dragan_quick",
    "began": "lucic2018/began_quick",
    "vae": "lucic2018/vae_quick",
    "pixel_cnn": "oord2016/pixelcnn_quick",
}
PARTS = (
    "model",
    "loss",
    "penalty",
    "network",
    "objective",
)  # config groups that make one kind of training


TARGET = re.compile(r"_target_: (lit_models\.[\w.]+)")


def parts_of(experiment: str) -> dict[str, str]:
    """Return the parts that an experiment, or what it inherits from, chooses."""
    found: dict[str, str] = {}
    text = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text()
    for entry in yaml.safe_load(text).get("defaults", []):
        if isinstance(entry, str):
            inherited = entry.removeprefix("/experiment/")
            found |= {} if entry == "_self_" else parts_of(inherited)
            continue
        for key, value in entry.items():
            group, _, place = key.removeprefix("override /").partition("@")
            found |= {place or group: value} if group in PARTS else {}
    # another schedule makes no other kind of training
    targets = [t for t in TARGET.findall(text) if not t.startswith(f"{schedules.__name__}.")]
    return found | dict.fromkeys(targets, "chosen")


def _kinds() -> list[str]:
    kinds: dict[tuple[tuple[str, str], ...], str] = {}
    every = names("experiment")
    for name in every:
        if f"{name}_quick" in every:
            continue  # the reduced row is of the same kind
        kinds.setdefault(tuple(sorted(parts_of(name).items())), name)
    return list(kinds.values())


KINDS = _kinds()  # one experiment of each kind of training; a new model is among them by itself


def bare_trainer(max_steps: int, **settings) -> Trainer:
    """A Trainer without loggers, bars and files, as `train` sets it up."""
    return Trainer(
        **{
            "accelerator": "cpu",
            "devices": 1,
            "max_steps": max_steps,
            "max_epochs": -1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "use_distributed_sampler": False,
            **settings,
        }
    )


def shrink(cfg: DictConfig, batch_size: int = 8, steps: int = 4) -> DictConfig:
    """The same run with narrow networks, small synthetic data and a few steps."""
    cfg = cfg.copy()
    OmegaConf.set_struct(cfg, False)
    narrow(cfg.model)
    cfg.model.batch_size = batch_size
    if "image_shape" in cfg.datamodule:
        cfg.datamodule = {
            "_target_": "datamodules.synthetic.SyntheticImages",
            "name": cfg.datamodule.name,
            "image_shape": cfg.datamodule.image_shape,
            "num_levels": cfg.datamodule.num_levels,
            "num_classes": 10,
            "train_size": 50,
            "test_size": 20,
            "seed": 0,
            "validation_size": 0,
        }
    else:
        cfg.datamodule.train_size = cfg.datamodule.test_size = 50
    cfg.images_seen = steps * batch_size * cfg.model.get("n_critic", 1)
    cfg.protocols = []
    cfg.log_every_updates = 1
    cfg.trainer = {"_target_": "lightning.Trainer", "accelerator": "cpu", "devices": 1}
    return cfg


def narrow(node: DictConfig) -> None:
    """Set every width of a model's config to a few features."""
    small = {"width": 2, "code_dim": 4, "features": 12, "head_features": 12, "num_blocks": 1}
    for key in list(node):
        if key in small:
            node[key] = small[key]
        elif key == "hidden" and node._target_.split(".")[-2] in ("image_mlp", "posteriors"):
            node[key] = [4] * len(node[key])
        elif not OmegaConf.is_interpolation(node, key) and isinstance(node[key], DictConfig):
            narrow(node[key])


def set_everywhere(node: DictConfig, key: str, value: float) -> None:
    """Set a key wherever a config has it."""
    for name in list(node):
        if name == key:
            node[name] = value
        elif not OmegaConf.is_interpolation(node, name) and isinstance(node[name], DictConfig):
            set_everywhere(node[name], key, value)


def tiny_run(experiment: str, overrides: Sequence[str] = (), **sizes) -> Composed:
    """Compose an experiment and shrink it."""
    composed = compose([f"experiment={experiment}", *overrides])
    return Composed(composed.experiment, composed.dataset, shrink(composed.cfg, **sizes))


def run_of_processes(experiment: str, steps: int) -> DictConfig:
    """Compose an experiment that 1, 2 and 3 processes can share, and shrink it.

    There is no dropout, which each process draws for itself, and BatchNorm wherever it is a
    choice: its double backward under a gradient penalty is the hard case.
    """
    cfg = tiny_run(experiment, batch_size=12, steps=steps).cfg
    set_everywhere(cfg.model, "dropout", 0.0)
    set_everywhere(cfg.model, "batch_norm", True)
    return cfg


class Untrained(LitGenerativeModel):
    """A model of codes that is never trained."""

    def train_step(self, x, labels):
        """It has none."""

    def sample(self, num_samples, generator, labels=None):
        return self.decode(self.prior(Noise(generator, self.device, self.dtype), num_samples))


def measured(protocol, source, data, cache=None, label="x", draw=0) -> dict[str, float]:
    """Score a source under a protocol, all of it."""
    prepared = protocol.prepare(data, source.device, cache, label)
    return protocol.measure(source, data, prepared, label, draw)


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a model's parameters and buffers."""
    return copy.deepcopy(model.state_dict())


def assert_same_state(a, b, rtol: float = 0, atol: float = 0) -> None:
    """Compare two state dicts; to the bit by default."""
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(
            a[name], b[name], rtol=rtol, atol=atol, msg=partial("{}: {}".format, name)
        )


def assert_same_training(a, b) -> None:
    """Compare weights and optimizers of two checkpoints, to the bit."""
    assert_same_state(a["state_dict"], b["state_dict"])
    for mine, theirs in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
        for key, state in mine["state"].items():
            assert_same_state(state, theirs["state"][key])


def without_dead_biases(state):
    """Leave out a bias before BatchNorm, and the running mean that follows it.

    Its gradient is zero but for rounding, which Adam turns into steps; the two cancel.
    """
    means = [k for k in state if k.endswith("running_mean")]
    biases = []
    for mean in means:
        stem, index, _ = mean.rsplit(".", 2)
        biases.append(f"{stem}.{int(index) - 1}.bias")
    return {k: v for k, v in state.items() if k not in {*means, *biases}}
