"""CelebA at 64x64 as in Lucic et al. (2018), memory-mapped."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torchvision
from PIL import Image
from tqdm import tqdm

from datamodules.base import Splits
from datamodules.prepared import PreparedImages

__all__ = ["CROP", "SIDE", "CelebA64", "crop_and_resize"]

CROP, SIDE = 160, 64
IMAGES, PARTITION = "img_align_celeba", "list_eval_partition.txt"
SPLITS = {
    "train": "0",
    "test": "2",
}  # 1 is the official validation set, which the paper leaves out
KEPT_EVERY = 1000  # images after which a conversion can go on where it was cut


def crop_and_resize(image: np.ndarray) -> np.ndarray:
    """Return the central 160x160 of an image (H, W, 3), resized to (3, 64, 64), uint8.

    The resize is TensorFlow 1's bilinear one: output pixel i takes position 2.5 i of the crop,
    without half-pixel centres and antialiasing. Rounded to the nearest level, where the paper's
    code keeps floats.
    """
    top, left = (image.shape[0] - CROP) // 2, (image.shape[1] - CROP) // 2
    crop = image[top : top + CROP, left : left + CROP].astype(np.float32)
    position = np.arange(SIDE, dtype=np.float32) * (CROP / SIDE)
    low = position.astype(int)
    share = position - low
    rows = crop[low] * (1 - share)[:, None, None] + crop[low + 1] * share[:, None, None]
    out = rows[:, low] * (1 - share)[:, None] + rows[:, low + 1] * share[:, None]
    return np.rint(out).astype(np.uint8).transpose(2, 0, 1)


class CelebA64(PreparedImages):
    """162,770 training and 19,962 test images of faces, (3, 64, 64), all of label 0.

    Liu et al., 2015, https://arxiv.org/abs/1411.7766. Read from `<root>/<name>/train.npy` and
    `test.npy`, which `dgmbench prefetch` makes, as memory maps: the processes of one machine share
    them, and only what a batch needs is read. `<root>/<name>.npz` is accepted too.

    If validation_size is not 0, the training images are copied into memory.

    Raises:
        ValueError: from setup, if the files are missing or wrong.
    """

    @property
    def path(self) -> Path:
        """The folder of the arrays."""
        return self.file.with_suffix("")

    @property
    def originals(self) -> Path:
        """Where torchvision keeps the originals."""
        return self.root / "torchvision" / "celeba"

    def is_prepared(self) -> bool:
        """Return whether the files are there."""
        return all((self.path / f"{split}.npy").exists() for split in SPLITS)

    def load(self) -> Splits:
        if not self.is_prepared():
            return super().load()
        images = {}
        for split in SPLITS:
            try:  # copy on write: torch wants a writable array
                images[split] = np.load(self.path / f"{split}.npy", "c", allow_pickle=False)
            except (ValueError, OSError, EOFError) as error:
                raise ValueError(f"{self.path / split}.npy is no array file: {error}") from error
        labels = {split: np.zeros(len(x), np.int64) for split, x in images.items()}
        return Splits(images["train"], labels["train"], images["test"], labels["test"])

    def prepare(self) -> None:
        """Convert the originals, downloaded by torchvision unless they are there already.

        A conversion that was cut goes on where it was.

        Raises:
            OSError, RuntimeError: if the originals cannot be had.
        """
        if self._absent() is not None:
            self._download()
        if (absent := self._absent()) is not None:
            raise RuntimeError(f"{absent} is missing")
        pairs = self._partition()
        self.path.mkdir(parents=True, exist_ok=True)
        for split, code in SPLITS.items():
            self._convert([name for name, part in pairs if part == code], split)

    def _partition(self) -> list[list[str]]:
        lines = (self.originals / PARTITION).read_text(encoding="utf-8").split("\n")
        return [line.split() for line in lines if line.strip()]

    def _absent(self) -> Path | None:
        """Return an original that is not there, as after an extraction that was cut."""
        if not (self.originals / PARTITION).exists():
            return self.originals / PARTITION
        folder = self.originals / IMAGES
        here = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        return next((folder / name for name, _ in self._partition() if name not in here), None)

    def _download(self) -> None:
        try:
            torchvision.datasets.CelebA(str(self.originals.parent), split="test", download=True)
        except (OSError, RuntimeError, ImportError) as error:
            raise RuntimeError(
                f"{error} (by hand: put {PARTITION} and the folder img_align_celeba into "
                f"{self.originals})"
            ) from error

    def _convert(self, names: Sequence[str], split: str) -> None:
        target, part = self.path / f"{split}.npy", self.path / f"{split}.part"
        if target.exists():
            return
        done_file = self.path / f"{split}.done"
        begun = part.exists() and done_file.exists()
        done = int(done_file.read_text(encoding="utf-8")) if begun else 0
        shape = (len(names), 3, SIDE, SIDE)
        out = np.lib.format.open_memmap(part, "r+" if done else "w+", np.uint8, shape)
        for i in tqdm(
            range(done, len(names)), desc=f"{self.name} {split}", unit="image", disable=None
        ):
            out[i] = crop_and_resize(_read(self.originals / IMAGES / names[i]))
            if (i + 1) % KEPT_EVERY == 0:
                out.flush()
                done_file.write_text(str(i + 1), encoding="utf-8")
        out.flush()
        del out
        part.replace(target)
        done_file.unlink(missing_ok=True)


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
