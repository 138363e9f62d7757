"""Charts with axes, drawn by matplotlib as its own defaults say, whatever a user has set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["plotting"]


@contextmanager
def plotting(style: Mapping[str, Any]) -> Iterator[Any]:
    """Yield matplotlib's pyplot, without a display and in a style of ours.

    A matplotlibrc of the user's would change the bytes of a figure.
    """
    import matplotlib  # lazily: it takes half a second

    matplotlib.use("Agg")
    from matplotlib import pyplot  # lazily: after its backend was chosen

    settings: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with matplotlib.rc_context(settings | dict(style)):
        yield pyplot
