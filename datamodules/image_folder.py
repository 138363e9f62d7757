"""A folder of image files of any size, at one size, memory-mapped."""

import hashlib
import json
import math
import secrets
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from datamodules.base import ImageDataModule, Splits, fingerprint_of
from datamodules.pictures import find_pictures, read_square
from datamodules.root import data_root

__all__ = ["ImageFolder"]

LAYOUT = 1  # of the cache; raised when the same files would give other arrays
SPLITS = ("train", "test")
OF_SPLITS = {"train", "test", "val", "valid", "validation"}  # names of subfolders, not of classes
NAMED = 3  # files that a message names


@dataclass(frozen=True)
class _Found:
    """What a folder holds.

    Attributes:
        files: Paths of the image files, relative to the folder, sorted.
        classes: Names of the subfolders, sorted; empty where there are none.
        left_out: What else is there.
    """

    files: list[Path]
    classes: list[str]
    left_out: str | None

    def label(self, file: Path) -> int:
        """Return the index of a file's class."""
        return self.classes.index(file.parts[0]) if self.classes else 0


class ImageFolder(ImageDataModule):
    """Image files of a folder, or of a subfolder per class, at one size.

    Of each image the central square is resized to image_size by Pillow's antialiased bilinear
    filter, after the rotation that a camera has noted; grey is Pillow's "L" (ITU-R 601), and
    transparent pixels lie on white. An image whose shorter side is less than image_size, and a
    file that cannot be read, are left out, counted and named.

    A file is of the test split if the SHA-256 of its relative path, as a fraction of the largest,
    is below test_fraction: files that are added move no others. Labels are the sorted names of the
    first level of subfolders.

    The arrays are kept under the data folder, by the names, sizes and times of the files and by
    these settings, and are made again where they are damaged or the files have changed.

    Args:
        path: The folder.
        image_size: Height and width.
        channels: 1 for grey, 3 for colour.
        test_fraction: Share of the files in the test split.
        num_classes: Number of classes; None for as many as there are.
        image_shape: (channels, image_size, image_size), for the models that ask for it.
        shared: The arguments of `ImageDataModule`.

    Attributes:
        left_out: What of the folder is not used, once set up; None for nothing.

    Raises:
        ValueError: for settings out of bounds; from setup, if the folder is absent or has too few
            images, two files for one name, images both in it and in subfolders, or another number
            of classes.
    """

    def __init__(
        self,
        path: str,
        image_size: int,
        channels: int,
        test_fraction: float,
        num_classes: int | None,
        image_shape: Sequence[int] | None = None,
        **shared: Any,
    ) -> None:
        shape = (channels, image_size, image_size)
        if channels not in (1, 3) or not isinstance(image_size, int) or image_size < 1:
            raise ValueError(
                f"channels must be 1 or 3 and image_size an integer >= 1, got {channels} and "
                f"{image_size}"
            )
        if tuple(image_shape or shape) != shape:
            raise ValueError(
                f"image_shape must follow from channels and image_size, {shape}, got "
                f"{tuple(image_shape or ())}: set these"
            )
        if not 0 < test_fraction < 1:
            raise ValueError(f"test_fraction must be in (0, 1), got {test_fraction}")
        super().__init__(image_shape=shape, num_classes=num_classes or 1, **shared)
        self.path = Path(path).expanduser()
        self.test_fraction, self.stated_classes = test_fraction, num_classes

    def load(self) -> Splits:
        found = self._find()
        classes = max(1, len(found.classes))
        if self.stated_classes not in (None, classes):
            raise ValueError(
                f"num_classes of {self.name} must be {classes}, its subfolders, got "
                f"{self.stated_classes}"
            )
        self.spec = replace(self.spec, num_classes=classes)
        place = self._place(found)
        splits = self._kept(place)
        if splits is None:
            try:
                self._make(found, place)
            except OSError as error:
                raise ValueError(
                    f"the arrays of {self.name} must fit into {place.parent} (DGMBENCH_DATA): "
                    f"{error.strerror}"
                ) from error
            splits = self._kept(place)
        if splits is None:
            raise ValueError(f"the arrays in {place} were damaged as they were read")
        return splits

    def _find(self) -> _Found:
        """Return the files, without opening them."""
        if not self.path.is_dir():
            raise ValueError(f"path must be a folder of images, got {self.path}: no such folder")
        paths, left_out = find_pictures(self.path)
        files = [p.relative_to(self.path) for p in paths]
        classes = sorted({f.parts[0] for f in files if len(f.parts) > 1})
        if splits := OF_SPLITS.intersection(c.lower() for c in classes):
            raise ValueError(
                f"subfolders of {self.path} must be classes, got {', '.join(sorted(splits))}: "
                "the split is made here (test_fraction), so give the folder of all images"
            )
        names = Counter(str(f.with_suffix("")).lower() for f in files)
        for name in (n for n, count in names.most_common(1) if count > 1):
            twins = [str(f) for f in files if str(f.with_suffix("")).lower() == name]
            raise ValueError(f"{self.path} must hold one file per name, got {', '.join(twins)}")
        return _Found(files, classes, left_out)

    def _place(self, found: _Found) -> Path:
        """Return the folder of the arrays: it depends on the settings and on every file."""
        settings = [LAYOUT, *self.shape, self.test_fraction]
        folder = _short_hash([str(self.path.resolve()), *settings])
        states = [(self.path / file).stat() for file in found.files]
        listing = [
            [str(f), s.st_size, s.st_mtime_ns] for f, s in zip(found.files, states, strict=True)
        ]
        return data_root() / "image_folder" / folder / _short_hash(listing)

    def _kept(self, place: Path) -> Splits | None:
        """Return the arrays of an earlier call; None if there are none, or they are damaged."""
        try:
            about = json.loads((place / "about.json").read_text(encoding="utf-8"))
            splits = self._mapped(place, about["labels"])
            if about["fingerprint"] != fingerprint_of(splits):
                return None
            self.left_out = about["left_out"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return splits

    def _mapped(self, place: Path, labels: dict[str, list[int]]) -> Splits:
        """Return the arrays as memory maps.

        Raises:
            ValueError: if a file is shorter or longer than its labels say.
        """
        parts: list[np.ndarray] = []
        for split in SPLITS:
            shape = (len(labels[split]), *self.shape)
            if (place / split).stat().st_size != math.prod(shape):
                raise ValueError(f"{split} is torn")
            # copy on write: torch wants a writable array
            parts.append(np.memmap(place / split, np.uint8, "c", shape=shape))
            parts.append(np.asarray(labels[split], np.int64))
        return Splits(*parts)

    def _make(self, found: _Found, place: Path) -> None:
        """Read every file and write the arrays, whole or not at all."""
        part = place.with_name(f"{place.name}.{secrets.token_hex(4)}.part")
        part.mkdir(parents=True)
        try:
            labels, reasons = self._write(found, part)
            left_out = _in_words(found.left_out, reasons)
            self._check_counts(labels, left_out)
            digest = fingerprint_of(self._mapped(part, labels))
            about = {"labels": labels, "left_out": left_out, "fingerprint": digest}
            (part / "about.json").write_text(json.dumps(about), encoding="utf-8")
            shutil.rmtree(place, ignore_errors=True)  # damaged
            with suppress(OSError):  # another process was first
                part.replace(place)
            for other in place.parent.iterdir():  # of files that have changed since
                if other != place and other.suffix != ".part":
                    shutil.rmtree(other, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _write(
        self, found: _Found, folder: Path
    ) -> tuple[dict[str, list[int]], dict[str, list[str]]]:
        """Write each split's images; return their labels, and the files left out by reason."""
        labels: dict[str, list[int]] = {split: [] for split in SPLITS}
        reasons: dict[str, list[str]] = {}
        with (folder / "train").open("wb") as train, (folder / "test").open("wb") as test:
            out = {"train": train, "test": test}
            for file in tqdm(found.files, desc=self.name, unit="image", disable=None, leave=False):
                try:
                    image = read_square(self.path / file, self.shape[1], self.shape[0])
                except ValueError as error:
                    reason = str(error).removeprefix(file.name).split(":")[0].strip()
                    reasons.setdefault(reason, []).append(str(file))
                    continue
                split = "test" if _fraction(file) < self.test_fraction else "train"
                out[split].write(image.tobytes())
                labels[split].append(found.label(file))
        return labels, reasons

    def _check_counts(self, labels: dict[str, list[int]], left_out: str | None) -> None:
        for split in SPLITS:
            if not labels[split]:
                total = sum(map(len, labels.values()))
                raise ValueError(
                    f"{self.path} must have images in both splits, got none of {total} in {split} "
                    f"(test_fraction={self.test_fraction}"
                    + (f"; {left_out})" if left_out else ")")
                )


def _fraction(file: Path) -> float:
    """Return the place of a relative path in [0, 1), the same wherever the folder lies."""
    return int.from_bytes(hashlib.sha256(file.as_posix().encode()).digest()[:8]) / 2**64


def _short_hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _in_words(left_out: str | None, reasons: dict[str, list[str]]) -> str | None:
    """Return what is left out in one line: per reason the number of files, and the first ones."""
    parts = [left_out] if left_out else []
    for reason, files in reasons.items():
        more = ", ..." if len(files) > NAMED else ""
        parts.append(f"{len(files)} left out ({', '.join(files[:NAMED])}{more}): each {reason}")
    return "; ".join(parts) or None
