"""Sources scored under protocols, each of which is built once."""

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmarks.config.compose import compose_group
from benchmarks.config.identity import fingerprint, protocol_fingerprint
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError
from benchmarks.core.paths import cache_dir
from benchmarks.evaluation.features.base import CachedExtractor, Extractor, Features
from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.protocols.base import Protocol
from benchmarks.evaluation.protocols.samples import SampleProtocol
from benchmarks.evaluation.sources import ImageSource, TensorSource
from benchmarks.runs.record import Evaluation, Record, bound_sign
from datamodules.base import DataModule

__all__ = ["BuiltProtocol", "Scoring", "build_protocols", "describe", "feature_cache"]


@dataclass(frozen=True)
class BuiltProtocol:
    """A protocol, and what identifies it.

    Attributes:
        name: The name of its config.
        protocol: The protocol.
        fingerprint: SHA-256 of what it measures.
        extractor: The config of its extractor; None for none.
    """

    name: str
    protocol: Protocol
    fingerprint: str
    extractor: DictConfig | None = None


def build_protocols(names: Iterable[str]) -> dict[str, BuiltProtocol]:
    """Build protocols by name, each once.

    Raises:
        UserError: for a name that does not exist, or a protocol that cannot be built.
    """
    found = {}
    for name in dict.fromkeys(names):
        cfg = compose_group("protocol", name)
        protocol = instantiate(cfg, f"protocol {name}")
        if not isinstance(protocol, Protocol) or not hasattr(protocol, "needs"):
            raise UserError(
                f"protocol {name} must be a Protocol of benchmarks.evaluation.protocols.base that "
                f"says what it needs, got {type(protocol).__name__}"
            )
        extractor = cfg.get("extractor")
        found[name] = BuiltProtocol(name, protocol, protocol_fingerprint(cfg), extractor)
    return found


class Scoring:
    """Scores sources against one data set; what is real is taken in once.

    Protocols with the same extractor share the features of a source.

    Args:
        data: The data set, set up.
        protocols: The protocols that may be asked for, by name.
    """

    def __init__(self, data: DataModule, protocols: Mapping[str, BuiltProtocol]) -> None:
        self.data, self.protocols = data, protocols
        self._ready: dict[str, tuple[Protocol, Any]] = {}  # with what was prepared
        self._features: dict[str, dict[bytes, Features]] = {}  # by extractor

    def __call__(
        self,
        name: str,
        source: ImageSource,
        checkpoint: str,
        images_seen: int,
        weights: str = "raw",
        draws: int = 1,
    ) -> Evaluation:
        """Score a source under a protocol; every process of a group must call this.

        Args:
            name: The name of the protocol.
            source: What is scored.
            checkpoint: What that is, as recorded.
            images_seen: How far the checkpoint was trained.
            weights: "raw" or "ema", as recorded.
            draws: The number of draws of the samples; the first is the score, all are kept beside.

        Raises:
            ValueError: if the protocol cannot score this, or draws of it cannot differ.
        """
        began = time.monotonic()
        built = self.protocols[name]
        if draws > 1 and not built.protocol.repeatable:
            raise ValueError(f"draws must be 1 under {name}, got {draws}")
        protocol, prepared = self._prepared(built, source)
        found = []
        for draw in range(draws):
            label = name if draws == 1 else f"{name} {draw + 1}/{draws}"
            again = source.drawn_again(draw) if isinstance(source, TensorSource) else source
            found.append(protocol.measure(again, self.data, prepared, label, draw))
        return Evaluation(
            protocol=name,
            fingerprint=built.fingerprint,
            checkpoint=checkpoint,
            weights=weights,
            images_seen=images_seen,
            metrics=dict(found[0]),
            attributes=protocol.attributes(source),
            seconds=round(time.monotonic() - began, 3),
            draws={n: [f[n] for f in found] for n in found[0]} if draws > 1 else {},
        )

    def next_source(self) -> None:
        """Forget the features of the last source, which the next one has not."""
        for known in self._features.values():
            known.clear()

    def _prepared(self, built: BuiltProtocol, source: ImageSource) -> tuple[Protocol, Any]:
        """Return a protocol with what it has taken in, the first time after a check."""
        if built.name not in self._ready:
            built.protocol.check(source, self.data)
            protocol, cache = self._with_shared_features(built)
            prepared = protocol.prepare(self.data, source.device, cache, built.name)
            self._ready[built.name] = protocol, prepared
        return self._ready[built.name]

    def _with_shared_features(self, built: BuiltProtocol) -> tuple[Protocol, FeatureCache | None]:
        protocol = built.protocol
        if not isinstance(protocol, SampleProtocol) or built.extractor is None:
            return protocol, None
        cache = feature_cache(built.extractor, protocol.extractor, self.data)
        if len(self.protocols) > 1:
            known = self._features.setdefault(fingerprint(cache.extractor), {})
            protocol = replace(protocol, extractor=CachedExtractor(protocol.extractor, known))
        return protocol, cache


def feature_cache(cfg: DictConfig, extractor: Extractor, datamodule: DataModule) -> FeatureCache:
    """Return where the features of a data set are kept for an extractor, built from a config."""
    described = [OmegaConf.to_container(cfg, resolve=True), extractor.version]
    data = [
        str(datamodule.found_fingerprint),
        datamodule.validation_size,
        datamodule.num_levels,
        list(datamodule.shape),
    ]
    return FeatureCache(cache_dir() / "real_features", described, data)


def describe(record: Record) -> list[str]:
    """Return one line per evaluation, for the terminal; checkpoints in the order of training."""
    lines = []
    for e in sorted(record.evaluations, key=lambda e: (e.protocol, e.images_seen)):
        values = ", ".join(
            f"{k} {bound_sign(e, k)}{_text(v, e.draws.get(k))}" for k, v in e.metrics.items()
        )
        kind = "".join(f", {e.attributes[k]}" for k in ("of", "given") if k in e.attributes)
        lines.append(f"{e.protocol} [{e.checkpoint}, {e.weights}{kind}]: {values}")
    return lines


def _text(value: float | None, draws: Sequence[float | None] | None) -> str:
    """Return a value, with mean and standard error over its draws where there are some."""
    text = "null" if value is None else f"{value:.5g}"
    known = [v for v in draws or () if v is not None]
    if len(known) < 2:
        return text
    error = statistics.stdev(known) / len(known) ** 0.5
    return f"{text} (mean {statistics.fmean(known):.4g} ± {error:.2g} s.e. of {len(known)} draws)"
