"""Train `lenet_fashion` on the 10,000 embedded training images, and write weights and card.

Usage: python -m benchmarks.features.train_lenet
"""

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import trange

from benchmarks.compose import compose_group
from benchmarks.features.lenet import WEIGHTS, LeNet
from benchmarks.instantiate import instantiate

EPOCHS, BATCH_SIZE, LR, SEED = 40, 100, 1e-3, 0

CARD = """# lenet_fashion, version 1

A classifier of Fashion-MNIST; its 64 features and 10 logits are the extractor of the `*_lenet_*`
protocols. It is no substitute for Inception: scores are comparable with one another only.

- Network: `benchmarks.features.lenet.LeNet`, {parameters:,} parameters, float32.
- Data: the 10,000 training images of `fashion_mnist_small` (fingerprint `{fingerprint}`), with
  random horizontal flips and shifts by up to 2 pixels; no other image.
- Training: Adam, learning rate {lr} with cosine decay, batch {batch}, {epochs} epochs, dropout .3,
  seed {seed}, one thread; script `benchmarks/features/train_lenet.py`.
- Accuracy on the 2,000 test images of `fashion_mnist_small`: {accuracy:.2%}.
- SHA-256 of the weights: `{sha256}`.
"""


def augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Flip each image with probability 1/2; shift the batch by up to 2 pixels."""
    flip = torch.rand(len(x), generator=generator) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(3), x)
    dy, dx = torch.randint(-2, 3, (2,), generator=generator).tolist()
    return x.roll((dy, dx), dims=(2, 3))  # borders are empty in nearly all images


def train(x: Tensor, y: Tensor) -> LeNet:
    """Return the trained network; x is (N, 1, 28, 28) in [0, 1]."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = LeNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in trange(EPOCHS, desc="lenet_fashion", unit="epoch"):
        for index in torch.randperm(len(x), generator=generator).split(BATCH_SIZE):
            loss = cross_entropy(network(augment(x[index], generator)), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def main() -> None:
    """Train, measure, write."""
    torch.set_num_threads(1)
    data = instantiate(compose_group("datamodule", "fashion_mnist_small"), "datamodule")
    data.setup()
    (x, y), (test_x, test_y) = data.split("train"), data.split("test")
    network = train(x / 255, y)
    with torch.no_grad():
        accuracy = (network(test_x / 255).argmax(1) == test_y).double().mean().item()
    safetensors.torch.save_file(network.state_dict(), WEIGHTS)
    sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    card = CARD.format(
        parameters=sum(p.numel() for p in network.parameters()),
        fingerprint=data.found_fingerprint,
        lr=LR,
        batch=BATCH_SIZE,
        epochs=EPOCHS,
        seed=SEED,
        accuracy=accuracy,
        sha256=sha256,
    )
    Path(WEIGHTS).with_suffix(".md").write_text(card)
    print(f"accuracy {accuracy:.4f}, SHA-256 {sha256}")


if __name__ == "__main__":
    main()
