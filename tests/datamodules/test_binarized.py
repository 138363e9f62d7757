"""Binary images: what is drawn once, what in every batch, and files of others."""

import numpy as np
import pytest
import torch

from datamodules.base import BatchStream
from datamodules.binarized import (
    BinarizedOnce,
    BinaryStream,
    DynamicallyBinarized,
    LarochelleMnist,
    Thresholded,
)
from lit_models.training.seeds import fold_seed

SHAPE = (1, 4, 4)


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (60, 4, 4), dtype=np.uint8),
        "train_labels": np.arange(60) % 3,
        "test_images": rng.integers(0, 256, (20, 4, 4), dtype=np.uint8),
        "test_labels": np.arange(20) % 3,
    }
    np.savez(tmp_path / "grey.npz", **arrays)
    return tmp_path


def make(kind, root, **settings):
    spec = {"image_shape": SHAPE, "num_levels": 2, "num_classes": 3, "validation_size": 10}
    data = kind(made_from="grey", root=str(root), name="binary", **spec, **settings)
    data.setup()
    return data


def test_threshold(root):
    data = make(Thresholded, root, threshold=128)
    grey = np.load(root / "grey.npz")["test_images"]
    assert np.array_equal(data.split("test")[0][:, 0].numpy(), grey >= 128)


def test_a_fixed_draw_is_fixed_and_follows_the_grey_levels(root):
    one, again = (make(BinarizedOnce, root, seed=0) for _ in range(2))
    other = make(BinarizedOnce, root, seed=1)
    assert one.found_fingerprint == again.found_fingerprint != other.found_fingerprint
    x = one.split("test")[0]
    assert x.unique().tolist() == [0, 1]
    grey = np.load(root / "grey.npz")["test_images"]
    draws = [make(BinarizedOnce, root, seed=s).split("test")[0].numpy()[:, 0] for s in range(200)]
    # 200 draws of 320 pixels: 5 standard errors of each pixel's mean
    assert np.abs(np.mean(draws, axis=0) - grey / 255).max() < 5 * 0.5 / 200**0.5


class Trainer:
    def __init__(self, images_seen, rank=0, world_size=1):
        model = type("Model", (), {"batch_size": 8, "batches_per_step": 1})()
        model.images_seen = images_seen
        self.lightning_module, self.global_rank, self.world_size = model, rank, world_size


def batches(root, count, **where):
    data = make(DynamicallyBinarized, root, seed=0)
    data.trainer = Trainer(**where)
    stream = iter(data.train_dataloader())
    return [next(stream) for _ in range(count)]


def test_dynamic_batches_are_a_function_of_the_clock(root):
    first = batches(root, 5, images_seen=0)
    later = batches(root, 3, images_seen=16)
    for (x, y), (x2, y2) in zip(first[2:], later, strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)
    assert first[0][0].dtype == torch.uint8
    assert first[0][0].unique().tolist() == [0, 1]


def test_dynamic_batches_of_two_processes_are_those_of_one(root):
    one = batches(root, 4, images_seen=0)
    parts = [batches(root, 4, images_seen=0, rank=r, world_size=2) for r in range(2)]
    for (x, y), *halves in zip(one, *parts, strict=True):
        assert torch.equal(x, torch.cat([h[0] for h in halves]))
        assert torch.equal(y, torch.cat([h[1] for h in halves]))


def test_the_same_image_is_drawn_anew(root):
    grey = torch.full((8, *SHAPE), 128, dtype=torch.uint8)
    stream = BinaryStream(BatchStream(grey, torch.zeros(8, dtype=torch.long), 8), grey)
    draws = [x for x, _ in (next(i) for i in [iter(stream)] * 50)]
    assert not torch.equal(draws[0], draws[1])
    mean = torch.stack(draws).float().mean().item()
    assert mean == pytest.approx(128 / 255, abs=5 * 0.5 / (50 * 128) ** 0.5)


def test_pixels_are_drawn_by_the_seed_that_training_would_fold():
    """Its formula stands twice, since data modules import nothing of `lit_models`."""
    grey = torch.full((8, *SHAPE), 128, dtype=torch.uint8)
    plain = BatchStream(grey, torch.zeros(8, dtype=torch.long), 8, images_seen=16, seed=3)
    generator = torch.Generator().manual_seed(fold_seed(3, 16, 1))
    expected = torch.rand((8, *SHAPE), generator=generator) < 128 / 255
    assert torch.equal(next(iter(BinaryStream(plain, grey)))[0], expected.to(torch.uint8))


def larochelle(root, validation_size):
    spec = {"image_shape": SHAPE, "num_levels": 2, "num_classes": 1}
    return LarochelleMnist(
        root=str(root), name="larochelle", validation_size=validation_size, **spec
    )


def test_files_of_larochelle(tmp_path):
    rng = np.random.default_rng(0)
    parts = {p: rng.integers(0, 2, (n, 16)) for p, n in (("train", 5), ("valid", 3), ("test", 4))}
    for part, values in parts.items():
        np.savetxt(tmp_path / f"binarized_mnist_{part}.amat", values, fmt="%d")
    data = larochelle(tmp_path, 3)
    data.setup()
    assert len(data.split("train")[0]) == 5
    whole = np.concatenate([parts["train"], parts["valid"]])
    assert data.load().train.reshape(8, 16).tolist() == whole.tolist()
    assert data.split("test")[1].tolist() == [0] * 4
    (tmp_path / "binarized_mnist_test.amat").write_text("0 1 0\n")
    with pytest.raises(ValueError, match="must have 16 numbers a line"):
        larochelle(tmp_path, 0).setup()
    (tmp_path / "binarized_mnist_test.amat").unlink()
    with pytest.raises(ValueError, match="data set larochelle is missing: put binarized_mnist"):
        larochelle(tmp_path, 0).setup()
