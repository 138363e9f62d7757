"""A picture of how many codes are active, and how many collapsed, in each stochastic layer."""

from collections.abc import Mapping

import numpy as np

from benchmarks.core.plotting import plotting

__all__ = ["latent_figure"]

ACTIVE, COLLAPSED = "#3c5ac8", "#d22828"
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def latent_figure(values: Mapping[str, float]) -> np.ndarray:
    """Return uint8 (H, W, 3): two bars per layer, from the data upwards, with their counts.

    Args:
        values: What `LatentProtocol` gives: active_units_1, collapsed_latents_1, and so on; with
            a flow there is no count of collapsed ones.
    """
    layers = range(1, 1 + sum(name.startswith("active_units_") for name in values))
    with plotting(STYLE) as pyplot:
        figure, axes = pyplot.subplots(figsize=(1.6 + 1.2 * len(layers), 2.6), dpi=100)
        for shift, kind, label, colour in (
            (-0.2, "active_units", "active", ACTIVE),
            (0.2, "collapsed_latents", "collapsed", COLLAPSED),
        ):
            known = [i for i in layers if f"{kind}_{i}" in values]
            heights = [values[f"{kind}_{i}"] for i in known]
            bars = axes.bar([i + shift for i in known], heights, 0.38, label=label, color=colour)
            axes.bar_label(bars, fmt="%.0f")
        axes.set_xticks(list(layers), [f"layer {i}" for i in layers])
        axes.set_ylabel("dimensions")
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        figure.tight_layout()
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
        pyplot.close(figure)
    return pixels
