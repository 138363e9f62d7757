"""A picture of a table: one grid of samples per row, with its label."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.core.errors import leave_out, one_line
from benchmarks.core.files import write_atomically

__all__ = ["newest_grid", "picture", "samples_figure"]

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # of Pillow

MARGIN, SIDE, COLUMNS = 12, 240, 4


def newest_grid(folder: Path) -> Path | None:
    """Return the sample grid with the most images seen, if there is one."""
    grids = [path for path in folder.glob("[0-9]*.png") if path.stem.isdecimal()]
    return max(grids, key=lambda p: int(p.stem), default=None)


def picture(path: Path) -> Image.Image | None:
    """Return a picture in colours; one that cannot be read is named, and is None."""
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except UNREADABLE as error:
        leave_out(f"{path}: {one_line(error)}")
        return None


def samples_figure(grids: Sequence[tuple[str, Path]], target: Path) -> None:
    """Write a PNG with all grids side by side, each SIDE pixels wide, under its label."""
    shown = [(label, grid) for label, path in grids if (grid := picture(path)) is not None]
    if not shown:
        return
    font = ImageFont.load_default(size=16)
    cell = (SIDE + MARGIN, SIDE + 24 + MARGIN)
    rows = -(-len(shown) // COLUMNS)
    size = (min(len(shown), COLUMNS) * cell[0] + MARGIN, rows * cell[1] + MARGIN)
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    for i, (label, grid) in enumerate(shown):
        left = MARGIN + i % COLUMNS * cell[0]
        top = MARGIN + i // COLUMNS * cell[1]
        draw.text((left, top), label, fill="black", font=font)
        resized = grid.resize((SIDE, SIDE), Image.Resampling.NEAREST)
        figure.paste(resized, (left, top + 24))
    out = io.BytesIO()
    figure.save(out, format="PNG")
    write_atomically(target, out.getvalue())
