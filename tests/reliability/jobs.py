"""Real processes: runs of the command line, small enough to be killed often."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.runs.record import Record, read_record
from tests.helpers import assert_same_training

ROOT = Path(__file__).parents[2]
KINDS = {
    "NS GAN": (
        "lucic2018/ns_gan_quick",
        "model.generator.network.width=2",
        "model.discriminator.network.width=2",
    ),
    "WGAN-GP with EMA": (
        "lucic2018/wgan_gp_quick",
        "model.generator.network.width=2",
        "model.discriminator.network.width=2",
        "model.n_critic=2",
        "model.generator.ema_decay=0.99",
    ),
    "BEGAN": (
        "lucic2018/began_quick",
        "model.generator.network.width=2",
        "model.discriminator.network.width=2",
    ),
    "VAE": ("lucic2018/vae_quick", "model.encoder.width=2", "model.decoder.width=2"),
    "PixelCNN": (
        "oord2016/pixelcnn_quick",
        "model.network.features=4",
        "model.network.head_features=4",
    ),
}
PATIENCE_SECONDS = 120


def command(kind: str = "VAE", *overrides: str, steps: int = 400) -> list[str]:
    """Return a run of so many training steps on batches of 8, saved every 20."""
    experiment, *narrow = KINDS[kind]
    images = 16 if "n_critic" in str(narrow) else 8
    return [
        *(sys.executable, "-m", "benchmarks", "train", "--no-bar", f"experiment={experiment}"),
        *(*narrow, "model.batch_size=8", f"images_seen={images * steps}"),
        f"checkpoint_every_images={images * 20}",
        *([] if any(o.startswith("protocols=") for o in overrides) else ["protocols=[]"]),
        *overrides,
    ]


class Job:
    """A process, with what it says; it does not outlive its test."""

    def __init__(self, space: Path, arguments: list[str], **environment: str) -> None:
        self.space = space
        self.process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**os.environ, "DGMBENCH_OUTPUTS": str(space), **environment},
            start_new_session=True,
        )

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *args: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def send(self, number: int) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was said."""
        said, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, said

    def wait_for(self, condition: Callable[[], object]) -> bool:
        """Wait until something holds; return False if the process ended before."""
        while not condition():
            if self.process.poll() is not None:
                return bool(condition())
            time.sleep(0.001)
        return True

    def trains(self) -> bool:
        """Wait until there is a checkpoint."""
        return self.wait_for(lambda: list(self.space.rglob("*.ckpt")))


def run(space: Path, arguments: list[str], **environment: str) -> tuple[int, str]:
    """Run to the end."""
    with Job(space, arguments, **environment) as job:
        return job.end()


def folder(space: Path) -> Path:
    """Return the only run's folder."""
    (found,) = (p.parent for p in space.rglob("record.json"))
    return found


def record(space: Path) -> Record:
    """Return the only run's record."""
    found = read_record(folder(space) / "record.json")
    assert found is not None
    return found


def checkpoints(space: Path) -> list[Path]:
    """Return the checkpoints, newest first."""
    return sorted(space.rglob("[0-9]*.ckpt"), key=lambda p: int(p.stem), reverse=True)


def assert_same_run(one: Path, other: Path) -> None:
    """Compare weights, optimizers, logs, pictures and scores, to the bit."""
    a, b = (torch.load(checkpoints(space)[0], weights_only=True) for space in (one, other))
    assert a["images_seen"] == b["images_seen"]
    assert_same_training(a, b)
    for name in ("logs/metrics.csv", *(f"samples/{p.name}" for p in one.rglob("samples/*.png"))):
        assert (folder(one) / name).read_bytes() == (folder(other) / name).read_bytes()
    scores = [{e.key: e.metrics for e in record(space).evaluations} for space in (one, other)]
    assert scores[0] == scores[1]
    assert record(other).status == "finished"
