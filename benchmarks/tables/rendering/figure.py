"""A picture of a table: one grid of samples per row, with its label."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.core.files import write_atomically

__all__ = ["newest_grid", "samples_figure"]

MARGIN, SIDE, COLUMNS = 12, 240, 4


def newest_grid(folder: Path) -> Path | None:
    """Return the sample grid with the most images seen, if there is one."""
    grids = sorted(folder.glob("[0-9]*.png"), key=lambda p: int(p.stem))
    return grids[-1] if grids else None


def samples_figure(grids: Sequence[tuple[str, Path]], target: Path) -> None:
    """Write a PNG with all grids side by side, each SIDE pixels wide, under its label."""
    if not grids:
        return
    font = ImageFont.load_default(size=16)
    cell = (SIDE + MARGIN, SIDE + 24 + MARGIN)
    rows = -(-len(grids) // COLUMNS)
    size = (min(len(grids), COLUMNS) * cell[0] + MARGIN, rows * cell[1] + MARGIN)
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    for i, (label, path) in enumerate(grids):
        left = MARGIN + i % COLUMNS * cell[0]
        top = MARGIN + i // COLUMNS * cell[1]
        draw.text((left, top), label, fill="black", font=font)
        with Image.open(path) as grid:
            picture = grid.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
        figure.paste(picture, (left, top + 24))
    out = io.BytesIO()
    figure.save(out, format="PNG")
    write_atomically(target, out.getvalue())
