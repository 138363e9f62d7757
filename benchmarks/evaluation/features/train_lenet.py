"""Train a committed classifier, and write its weights and card.

Usage: python -m benchmarks.evaluation.features.train_lenet lenet_fashion|lenet_mnist
"""

import hashlib
import sys
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import trange

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.evaluation.features.lenet import HERE, LeNet

BATCH_SIZE, LR, SEED = 100, 1e-3, 0


@dataclass(frozen=True)
class Training:
    """What a classifier is trained on, and how long."""

    dataset: str
    subject: str
    epochs: int
    flips: bool


TRAININGS = {
    "lenet_fashion": Training("fashion_mnist_small", "Fashion-MNIST", epochs=40, flips=True),
    "lenet_mnist": Training("mnist", "MNIST digits", epochs=20, flips=False),
}

CARD = """# {name}, version 1

A classifier of {subject}; its 64 features and 10 logits are an extractor of protocols that name
it. It is no substitute for Inception: scores are comparable with one another only.

- Network: `benchmarks.evaluation.features.lenet.LeNet`, {parameters:,} parameters, float32.
- Data: the {count:,} training images of `{dataset}` (fingerprint `{fingerprint}`), with
  random {augmentation}shifts by up to 2 pixels; no other image.
- Training: Adam, learning rate {lr} with cosine decay, batch {batch}, {epochs} epochs, dropout .3,
  seed {seed}, one thread; script `benchmarks/evaluation/features/train_lenet.py`.
- Accuracy on the {test_count:,} test images of `{dataset}`: {accuracy:.2%}.
- SHA-256 of the weights: `{sha256}`.
"""


def augment(x: Tensor, flips: bool, generator: torch.Generator) -> Tensor:
    """Flip each image with probability 1/2, if asked; shift the batch by up to 2 pixels."""
    if flips:
        flip = torch.rand(len(x), generator=generator) < 0.5
        x = torch.where(flip[:, None, None, None], x.flip(3), x)
    dy, dx = torch.randint(-2, 3, (2,), generator=generator).tolist()
    return x.roll((dy, dx), dims=(2, 3))  # borders are empty in nearly all images


def train(x: Tensor, y: Tensor, training: Training) -> LeNet:
    """Return the trained network; x is (N, 1, 28, 28) in [0, 1]."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = LeNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
    for _ in trange(training.epochs, desc=training.subject, unit="epoch"):
        for index in torch.randperm(len(x), generator=generator).split(BATCH_SIZE):
            loss = cross_entropy(network(augment(x[index], training.flips, generator)), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def main() -> None:
    """Train, measure, write."""
    if len(sys.argv) != 2 or sys.argv[1] not in TRAININGS:
        sys.exit(f"name one of {', '.join(TRAININGS)}")
    name = sys.argv[1]
    training, weights = TRAININGS[name], HERE / f"{name}.safetensors"
    torch.set_num_threads(1)
    data = instantiate(compose_group("datamodule", training.dataset), "datamodule")
    data.setup()
    (x, y), (test_x, test_y) = data.split("train"), data.split("test")
    network = train(x / 255, y, training)
    with torch.no_grad():
        accuracy = (network(test_x / 255).argmax(1) == test_y).double().mean().item()
    safetensors.torch.save_file(network.state_dict(), weights)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = CARD.format(
        name=name,
        subject=training.subject,
        parameters=sum(p.numel() for p in network.parameters()),
        count=len(x),
        dataset=training.dataset,
        fingerprint=data.found_fingerprint,
        augmentation="horizontal flips and " if training.flips else "",
        lr=LR,
        batch=BATCH_SIZE,
        epochs=training.epochs,
        seed=SEED,
        test_count=len(test_x),
        accuracy=accuracy,
        sha256=sha256,
    )
    weights.with_suffix(".md").write_text(card, encoding="utf-8")
    print(f"accuracy {accuracy:.4f}, SHA-256 {sha256}")


if __name__ == "__main__":
    main()
