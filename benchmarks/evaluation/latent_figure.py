"""A picture of how many codes are active, and how many collapsed, in each stochastic layer."""

from collections.abc import Mapping

import numpy as np

__all__ = ["latent_figure"]

WIDTH, HEIGHT, MARGIN = 120, 200, 30
ACTIVE, COLLAPSED = (60, 90, 200), (210, 40, 40)


def latent_figure(values: Mapping[str, float]) -> np.ndarray:
    """Return uint8 (H, W, 3): two bars per layer, from the data upwards, with their counts.

    Args:
        values: Of `LatentProtocol`: active_units_1, collapsed_latents_1, active_units_2, ...
    """
    from PIL import Image, ImageDraw, ImageFont

    layers = sum(name.startswith("active_units_") for name in values)
    size = (max(2, layers) * WIDTH + 2 * MARGIN, HEIGHT + 3 * MARGIN)
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    font = ImageFont.load_default(size=13)
    draw.text((MARGIN, 6), "active", fill=ACTIVE, font=font)
    draw.text((MARGIN + 60, 6), "collapsed", fill=COLLAPSED, font=font)
    highest = max([1.0, *(v for name, v in values.items() if name[-1].isdigit())])
    base = HEIGHT + 2 * MARGIN
    for layer in range(1, layers + 1):
        left = MARGIN + (layer - 1) * WIDTH
        bars = ((f"active_units_{layer}", ACTIVE), (f"collapsed_latents_{layer}", COLLAPSED))
        for i, (name, colour) in enumerate(bars):
            x = left + i * 45
            top = base - round(values[name] / highest * (HEIGHT - MARGIN))
            draw.rectangle((x, top, x + 40, base), fill=colour)
            draw.text((x + 8, top - 18), f"{values[name]:.0f}", fill="black", font=font)
        draw.text((left + 20, base + 6), f"layer {layer}", fill="black", font=font)
    return np.asarray(figure)
