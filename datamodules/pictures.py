"""Image files, read by their content: nothing is dropped, converted or left out without a word."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

__all__ = ["SUFFIXES", "find_pictures", "read_picture", "read_pictures", "read_square"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
MODES = ("L", "RGB")
CONVERTED = (*MODES, "1", "P", "LA", "PA", "RGBA")  # what can be shown as one of them
WHITE = (255, 255, 255, 255)


def find_pictures(folder: Path) -> tuple[list[Path], str | None]:
    """Return the image files of a folder, or of its subfolders, sorted; and what else is there.

    Returns:
        The files, and a text that names those of other kinds, None where there are none.

    Raises:
        ValueError: if there are no image files, or some here and others in subfolders.
    """
    every = sorted(_files(folder, set()))
    found = [p for p in every if p.suffix.lower() in SUFFIXES]
    if not found:
        raise ValueError(f"{folder} must hold image files ({', '.join(SUFFIXES)}), got none")
    deeper = [p for p in found if p.parent != folder]
    if deeper and len(deeper) < len(found):
        below = f"{len(deeper)} below ({deeper[0].relative_to(folder)})"
        raise ValueError(
            f"{folder} must hold its images either itself or in subfolders, got both: "
            f"{len(found) - len(deeper)} in it, {below}"
        )
    rest = Counter(p.suffix.lower() or p.name for p in every if p.suffix.lower() not in SUFFIXES)
    if not rest:
        return found, None
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(rest.items()))
    return found, f"files of other kinds are left out: {kinds}"


def _files(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield all files below a folder, through links too; a folder that is met again is skipped."""
    if (real := folder.resolve()) in seen:
        return
    seen.add(real)
    for path in folder.iterdir():
        if path.is_dir():
            yield from _files(path, seen)
        elif path.is_file():
            yield path


def read_pictures(files: Sequence[Path], name: str) -> np.ndarray:
    """Return image files of one shape, (N, H, W) or (N, H, W, 3), uint8.

    Args:
        files: The files, not empty.
        name: What the progress bar shows.

    Raises:
        ValueError: naming the first file that cannot be taken as it is.
    """
    arrays: list[np.ndarray] = []
    for file in tqdm(files, desc=name, unit="image", disable=None, leave=False):
        array = read_picture(file)
        if arrays and array.shape != arrays[0].shape:
            raise ValueError(
                f"images of a folder must have one shape: {files[0].name} has {arrays[0].shape}, "
                f"{file.name} has {array.shape}"
            )
        arrays.append(array)
    return np.stack(arrays)


def read_picture(file: Path) -> np.ndarray:
    """Return one 8-bit grey or RGB image as it is stored, (H, W) or (H, W, 3), uint8.

    Raises:
        ValueError: naming the file, if it is no such image, has more bits or frames than would be
            kept, or is too large to be one.
    """
    with _opened(file, MODES) as image:
        return np.asarray(image)


def read_square(file: Path, side: int, channels: int) -> np.ndarray:
    """Return the central square of an image at another size, (channels, side, side), uint8.

    The rotation that a camera has noted is applied, transparent pixels lie on white, grey is
    Pillow's "L", and the resize is Pillow's antialiased bilinear one.

    Raises:
        ValueError: naming the file, if it is no 8-bit image of one frame, or smaller than that.
    """
    with _opened(file, CONVERTED) as opened:
        image = ImageOps.exif_transpose(opened)
        short = min(image.size)
        if short < side:
            raise _UnfitError(f"be at least {side} pixels wide and high")
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, WHITE), layer)
        image = image.convert("L" if channels == 1 else "RGB")
        left, top = (image.width - short) // 2, (image.height - short) // 2
        image = image.crop((left, top, left + short, top + short))
        square = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    return square.reshape(side, side, channels).transpose(2, 0, 1)


@contextmanager
def _opened(file: Path, modes: Sequence[str]) -> Iterator[Image.Image]:
    """Open an image of 8 bits and one frame; what fails within is told as the file's fault."""
    try:
        with Image.open(file) as image:
            if image.mode not in modes:
                raise _UnfitError(f"be 8-bit grey or RGB, got mode {image.mode}")
            if any(";16" in mode for mode in _raw_modes(image)):  # Pillow would cut its bits
                raise _UnfitError("be 8-bit grey or RGB, got 16 bits per channel")
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                raise _UnfitError(f"hold one image, got {frames} frames")
            yield image
    except _UnfitError as error:
        raise ValueError(f"{file.name} must {error}") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{file.name} is too large: {_one_line(error)}") from None
    except Exception as error:  # a torn file may raise anything in the decoders
        raise ValueError(f"{file.name} is no readable image: {_one_line(error)}") from error


class _UnfitError(Exception):
    """An image that is whole, and cannot be taken as it is."""


def _raw_modes(image: object) -> list[str]:
    """Return how Pillow unpacks the file's bytes, such as "RGB;16B"."""
    found: list[object] = []
    for tile in getattr(image, "tile", []):
        arguments = tile[3]
        found += arguments if isinstance(arguments, tuple | list) else [arguments]
    return [value for value in found if isinstance(value, str)]  # others are offsets and strides


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
