"""From a config to a table; and, in Python, a run's model and a score of images.

`from benchmarks import load_run, score`: docs/python.md.
"""

from typing import TYPE_CHECKING, Any

from benchmarks.core.version import __version__

if TYPE_CHECKING:
    from benchmarks.evaluation.in_python import load_run, score

__all__ = ["__version__", "load_run", "score"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: the command line starts without torch."""
    if name not in ("load_run", "score"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # lazily: torch and Lightning take seconds
    from benchmarks.evaluation import in_python

    return getattr(in_python, name)
