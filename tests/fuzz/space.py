"""The scratch space of the calls: one small run of each kind of file, as each call finds it."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.runs.record import read_record
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec

__all__ = ["TABLE", "Space"]

TABLE = """title: own
note: ""
seeds: 1
columns:
  - label: modes
    dataset: gaussian_ring
    protocol: modes_2500
    metric: modes
    better: higher
    digits: 1
rows:
  - {label: A, experiment: toy/ns_gan}
  - {label: B, experiment: mine}
"""
EXPERIMENT = """# @package _global_
defaults:
  - /experiment/toy/ns_gan
  - _self_
method: mine
per_dataset:
  gaussian_ring: {images_seen: 256}
"""


@dataclass(frozen=True)
class Space:
    """A folder with a run, a table, images and a user's own configs.

    Attributes:
        root: The folder; `fresh` in it is what each call begins with, as `here`.
    """

    root: Path

    @property
    def here(self) -> Path:
        """Where a call works."""
        return self.root / "here"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Work in the space, with nothing of the user's around."""
        kept, folder = dict(os.environ), Path.cwd()
        for name in ("DGMBENCH_PATH", "DGMBENCH_TRUST", "SLURM_JOB_ID"):
            os.environ.pop(name, None)
        os.environ |= {
            "DGMBENCH_OUTPUTS": "outputs",
            "DGMBENCH_DATA": str(self.root / "data"),
            "HOME": str(self.root),
        }
        self.here.mkdir(parents=True)
        os.chdir(self.here)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ |= kept

    def make(self) -> None:
        """Fill the space: it takes some seconds."""
        (self.root / "data").mkdir()
        for name in ("experiment", "table"):
            (self.here / "own" / name).mkdir(parents=True)
        (self.here / "own/table/own.yaml").write_text(TABLE)
        (self.here / "own/experiment/mine.yaml").write_text(EXPERIMENT)
        os.environ["DGMBENCH_PATH"] = "own"
        call = ["train", "experiment=mine", "snapshot_every_images=128", "--no-bar"]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(call)
        assert code == 0, said.getvalue()
        (trained,) = (self.here / "outputs").glob("*/*/*")
        (planned,) = (r for r in make_plan(load_spec("own")).runs if r.row.label == "B")
        shutil.copytree(trained, self.here / "run")
        record = read_record(trained / "record.json")
        assert record is not None
        record.run_id = planned.run_id
        record.write(planned.run.record_path)
        del os.environ["DGMBENCH_PATH"]
        images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
        labels = np.arange(6)
        np.savez(self.here / "images.npz", images=images)
        np.savez(
            self.here / "set.npz",
            train_images=images,
            train_labels=labels,
            test_images=images,
            test_labels=labels,
        )
        (self.here / "pictures").mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(self.here / "pictures" / f"{i}.png")
        (self.here / "run/samples").mkdir(exist_ok=True)
        Image.fromarray(images[0]).save(self.here / "run/samples/256.png")
        shutil.copytree(self.here, self.root / "fresh")

    def renew(self) -> None:
        """Put everything back as it was."""
        for path in self.here.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(self.root / "fresh", self.here, dirs_exist_ok=True)
