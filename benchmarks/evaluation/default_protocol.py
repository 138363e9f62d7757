"""The protocol of images that no experiment knows: a Frechet distance through what is there."""

from benchmarks.config.compose import compose_group
from benchmarks.config.counts import name_with_counts
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError, one_line
from benchmarks.evaluation.scoring import build_protocols
from benchmarks.evaluation.sources import TensorSource, real_source
from datamodules.base import DataModule

__all__ = ["default_protocol"]

# the first that fits: Inception, if its weights are here and the images are more than its 2,048
# features; else committed networks, from 28x28 grey images to any
FAMILIES = ("fid", "fd_lenet", "fd_lenet_rgb28", "fd_lenet_grey28")
MOST_IMAGES = 10_000  # on either side: as in the suite's own protocols


def default_protocol(
    data: DataModule, samples: TensorSource | None = None
) -> tuple[str | None, str]:
    """Return the name of a protocol that fits, with the counts in it, and why no other does.

    Args:
        data: Set up; its test images are the real ones.
        samples: The images that are scored, all of which are taken; None for as many samples of a
            model as there are real images.

    Returns:
        The name, None where nothing fits; and a text that tells what was tried before it.
    """
    source = real_source(data, "test", 0) if samples is None else samples
    num_samples = min(len(source.images), MOST_IMAGES)
    num_real = min(len(data.split("test")[0]), MOST_IMAGES)
    if num_real == 0:
        return None, f"{data.name} has no test images"
    reasons: dict[str, str] = {}
    for family in FAMILIES:
        name = name_with_counts(family, num_samples, "test", num_real)
        try:
            _check(name, source, data, {"fake": num_samples, "real": num_real})
        except (UserError, ValueError) as error:
            reasons.setdefault(one_line(error), name)
        else:
            return name, _text(reasons)
    return None, _text(reasons)


def _check(name: str, source: TensorSource, data: DataModule, counts: dict[str, int]) -> None:
    """Refuse a protocol that does not fit; counts first, whose want no weights would mend."""
    metrics = instantiate(compose_group("protocol", name).metrics, f"protocol {name}.metrics")
    for metric in metrics.values():
        metric.check_counts(counts)
    build_protocols([name])[name].protocol.check(source, data)


def _text(reasons: dict[str, str]) -> str:
    return "; ".join(f"not {name}: {reason}" for reason, name in reasons.items())
