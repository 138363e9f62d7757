"""Print hashes of weights after 20 updates, and of scores, of an experiment of each family.

Run it before and after a change that must not move a number, on one machine, and compare:

    python tests/parity/hashes.py > before.txt

It speaks to the suite by its command line and files only, so that it runs at any commit. A hash
does not depend on how parameters are called.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
SMALL, LENET = "fashion_mnist_small", "fd_lenet_2k_test2k"
CASES = [  # experiment, data set, images of 20 updates, what else
    ("lucic2018_ns_gan_quick", SMALL, 320, [f"protocols=[{LENET},panel_lenet_2k_test2k]"]),
    ("lucic2018_lsgan_quick", SMALL, 320, ["model.clip_grad_norm=0.5"]),
    ("lucic2018_wgan_quick", SMALL, 1600, []),
    ("lucic2018_wgan_gp_quick", SMALL, 1600, []),
    ("lucic2018_dragan_quick", SMALL, 320, []),
    ("lucic2018_began_quick", SMALL, 1600, []),
    ("lucic2018_vae_quick", SMALL, 320, []),
    ("lin2018_dcgan_quick", "stacked_mnist", 320, ["protocols=[]"]),
    ("srivastava2017_gan", "gaussian_ring", 320, []),
    ("burda2016_iwae_2l_k5_quick", "binarized_mnist_static", 320, ["protocols=[latents_test]"]),
    ("kingma2014_vae_gaussian_quick", "digits", 320, []),
    ("kingma2016_iaf_quick", "digits", 320, []),
    ("sohn2015_cvae_quick", "digits", 320, []),
    ("vincent2010_denoising_autoencoder_quick", SMALL, 320, ["protocols=[reconstruction_test]"]),
    ("oord2016_pixelcnn_quick", "digits", 320, []),
    ("oord2016_row_lstm_quick", "digits", 320, []),
    ("oord2016b_conditional_gated_pixelcnn_quick", "digits", 320, []),
    ("salimans2017_pixelcnn_pp_quick", "digits", 320, []),
    ("gulrajani2017_pixelvae_quick", "digits", 320, []),
]
BATCH = 16


def run(experiment: str, dataset: str, images: int, overrides: list[str], outputs: Path) -> Path:
    """Train and score; return the run's folder."""
    command = [
        *(sys.executable, "-m", "benchmarks", "train", "--no-bar"),
        *(f"experiment={experiment}", f"datamodule={dataset}", "seed=1"),
        *(f"images_seen={images}", f"model.batch_size={BATCH}", *overrides),
    ]
    environment = {**os.environ, "DGMBENCH_OUTPUTS": str(outputs)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{experiment}: {done.stderr.strip() or done.stdout.strip()}")
    (record,) = outputs.rglob("record.json")
    return record.parent


def weights(folder: Path) -> str:
    """Return the hash of all tensors of the last checkpoint, whatever their names."""
    newest = max(folder.glob("checkpoints/[0-9]*.ckpt"), key=lambda p: int(p.stem))
    state = torch.load(newest, map_location="cpu", weights_only=True)["state_dict"]
    tensors = sorted(
        hashlib.sha256(str(tuple(t.shape)).encode() + t.numpy().tobytes()).hexdigest()
        for t in state.values()
    )
    return hashlib.sha256("".join(tensors).encode()).hexdigest()[:16]


def scores(folder: Path) -> str:
    """Return the hash of all values of the record, and their number."""
    record = json.loads((folder / "record.json").read_text())
    values = sorted(
        f"{e['protocol']} {e['checkpoint']} {name} {value!r}"
        for e in record["evaluations"]
        for name, value in e["metrics"].items()
    )
    return f"{hashlib.sha256(chr(10).join(values).encode()).hexdigest()[:16]} of {len(values)}"


def main() -> None:
    """Print a line for each case."""
    for experiment, dataset, images, overrides in CASES:
        with tempfile.TemporaryDirectory() as outputs:
            folder = run(experiment, dataset, images, overrides, Path(outputs))
            line = f"weights {weights(folder)}  scores {scores(folder)}"
        print(f"{experiment:<43} {dataset:<20} {line}", flush=True)


if __name__ == "__main__":
    main()
