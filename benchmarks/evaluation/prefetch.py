"""`dgmbench prefetch NAME`: data sets and weights into the data folder, once, checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError, one_line, suggest, user_errors
from benchmarks.core.paths import check_writable
from benchmarks.runs.lock import held
from datamodules.root import data_root

__all__ = ["INCEPTION", "prefetch"]

INCEPTION = "inception_2015"


class Preparable(Protocol):
    """Data or weights that can be fetched."""

    name: str
    path: Path
    fingerprint: str | None

    def is_prepared(self) -> bool:
        """Return whether its files are there."""

    def prepare(self) -> None:
        """Fetch and write them; OSError or RuntimeError where that fails."""

    def setup(self) -> None:
        """Load and check them."""


def prefetch(wanted: Sequence[str]) -> int:
    """Download and prepare data sets and weights by name; what is there and verified stays.

    Raises:
        UserError: for an unknown name, or a download that fails.
    """
    for data in [_prepared(name) for name in wanted]:
        check_writable(data.path.parent)
        with held(data.path.with_name(f".{data.path.name}.lock"), wait=True):
            print(f"{data.name}: {_fetch(data)}")
    return 0


def _prepared(name: str) -> Preparable:
    known = [n for n in names("datamodule") if "source" in compose_group("datamodule", n)]
    if name not in [*known, INCEPTION]:
        raise UserError(f"{name!r} cannot be prefetched{suggest(name, [*known, INCEPTION])}")
    if name == INCEPTION:
        return _inception()
    return instantiate(compose_group("datamodule", name), "datamodule")


def _inception() -> Preparable:
    """Return the weights that the Inception protocols name."""
    # lazily: torch takes a second, and a plan imports this module for a name
    from benchmarks.evaluation.features.download import PublishedWeights
    from benchmarks.evaluation.features.inception import PUBLISHED_SHA256, URL_INCEPTION_V3

    extractor = compose_group("extractor", INCEPTION)
    path = data_root() / extractor.weights
    return PublishedWeights(
        INCEPTION, path, URL_INCEPTION_V3, PUBLISHED_SHA256, extractor.weights_sha256
    )


def _fetch(data: Preparable) -> str:
    """Make the files if they are not there; verify them either way."""
    made = not data.is_prepared()
    if made:
        try:
            data.prepare()
        except (OSError, RuntimeError) as error:
            raise UserError(f"download of {data.name} failed: {one_line(error)}") from error
    with user_errors(ValueError):
        data.setup()
    verified = "fingerprint verified" if data.fingerprint else "no pinned fingerprint"
    return f"{'prepared' if made else 'is there'}, {verified} ({data.path})"
