"""The data sets: pinned sizes and fingerprints, disjoint splits, honest content."""

import io
import zipfile

import numpy as np
import pytest
import torch

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError
from datamodules.fashion_mnist_small import ASSET
from datamodules.gaussian_ring import ring_modes
from datamodules.npz import read_npz


def build(name, *overrides):
    data = instantiate(compose_group("datamodule", name, overrides), "datamodule")
    data.setup()
    return data


@pytest.mark.parametrize(
    ("name", "train", "test", "shape"),
    [
        ("fashion_mnist_small", 10_000, 2_000, (1, 28, 28)),
        ("digits", 1_500, 297, (1, 8, 8)),
        ("gaussian_ring", 50_000, 10_000, (2,)),
        ("gaussian_grid", 50_000, 10_000, (2,)),
        ("synthetic", 64, 32, (1, 8, 8)),
    ],
)
def test_sizes_and_types(name, train, test, shape):
    data = build(name)
    for split, size in (("train", train), ("test", test)):
        x, labels = data.split(split)
        assert x.shape == (size, *shape)
        assert x.dtype == (torch.uint8 if len(shape) == 3 else torch.float32)
        assert labels.shape == (size,)
        assert labels.dtype == torch.int64
        assert labels.unique().numel() == data.num_classes
    assert data.shape == shape


@pytest.mark.parametrize("name", ["fashion_mnist_small", "digits"])
def test_fingerprints_are_pinned_and_splits_disjoint(name):
    data = build(name)
    assert data.fingerprint == data.found_fingerprint
    train = {x.numpy().tobytes() for x in data.split("train")[0]}
    assert not train & {x.numpy().tobytes() for x in data.split("test")[0]}


def test_fashion_mnist_small_is_balanced_small_and_licensed():
    data = build("fashion_mnist_small")
    assert data.split("train")[1].bincount().tolist() == [1000] * 10
    assert data.split("test")[1].bincount().tolist() == [200] * 10
    assert ASSET.stat().st_size < 6_000_000
    assert "MIT License" in ASSET.with_suffix(".LICENSE").read_text()


def test_the_ring_has_its_modes():
    data = build("gaussian_ring")
    x, labels = data.split("train")
    modes = torch.from_numpy(ring_modes(8, 1.0)).float()
    torch.testing.assert_close(modes.norm(dim=1), torch.ones(8))
    offsets = x - modes[labels]
    # 100,000 numbers of deviation .01: five standard errors
    assert offsets.std().item() == pytest.approx(0.01, abs=5 * 0.01 / (2 * 100_000) ** 0.5)
    assert offsets.norm(dim=1).max() < 0.06
    assert labels.bincount().min() > 50_000 / 8 * 0.95


def test_the_grid_has_its_modes():
    data = build("gaussian_grid")
    x, labels = data.split("train")
    assert {tuple(m) for m in data.modes.tolist()} == {
        (i, j) for i in (-4, -2, 0, 2, 4) for j in (-4, -2, 0, 2, 4)
    }
    offsets = x - torch.from_numpy(data.modes).float()[labels]
    assert offsets.std().item() == pytest.approx(0.05, abs=5 * 0.05 / (2 * 100_000) ** 0.5)
    assert offsets.norm(dim=1).max() < 0.3


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("gaussian_ring", "radius=0", "radius must be > 0, got 0"),
        ("gaussian_ring", "std=-1", "std must be > 0, got -1"),
        ("gaussian_grid", "num_classes=24", "num_classes must be 25, the square"),
    ],
)
def test_modes_that_do_not_fit_are_refused(name, override, message):
    with pytest.raises(UserError, match=message):
        build(name, override)


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_prepared_sets_have_their_fingerprint(name):
    data = build(name)
    assert data.fingerprint == data.found_fingerprint
    assert len(data.split("test")[0]) == 10_000


def npz(path, **changes):
    arrays = {
        "train_images": np.zeros((6, 4, 4, 3), np.uint8),
        "train_labels": np.arange(6),
        "test_images": np.zeros((2, 4, 4, 3), np.uint8),
        "test_labels": np.arange(2),
    }
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    return path


def test_a_prepared_file(tmp_path):
    path = npz(tmp_path / "mine.npz")
    data = build("npz", "name=mine", f"path={path}", "image_shape=[3,4,4]", "num_classes=6")
    assert data.split("train")[0].shape == (6, 3, 4, 4)
    grey = npz(tmp_path / "grey.npz", train_images=np.zeros((6, 4, 4), np.uint8))
    assert read_npz(grey).train.shape == (6, 1, 4, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_labels": None}, "must hold train_images, train_labels, test_images, test_labels"),
        ({"train_images": np.zeros((6, 4, 4))}, "train_images must be uint8"),
        ({"train_images": np.zeros((0, 4, 4), np.uint8)}, "N >= 1, got uint8"),
        ({"train_labels": np.arange(5)}, r"train_labels must be integers of shape \(6,\)"),
        ({"train_labels": np.arange(6.0)}, r"train_labels must be .* got float64 \(6,\)"),
        ({"train_labels": np.full(6, np.nan)}, r"train_labels must be .* got float64 \(6,\)"),
        ({"train_labels": np.arange(6)[:, None]}, r"train_labels must be .* got int64 \(6, 1\)"),
        ({"test_labels": np.eye(2, dtype=int)}, r"test_labels must be .* got int64 \(2, 2\)"),
        ({"test_labels": np.arange(2) * 1j}, r"test_labels must be .* got complex128"),
        ({"test_labels": np.array([True, False])}, r"test_labels must be .* got bool"),
        ({"train_labels": np.array([None] * 6)}, "truncated or no npz file"),  # a pickle inside
    ],
)
def test_a_wrong_file_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_npz(npz(tmp_path / "x.npz", **changes))


def with_header(path, shape, dtype="|u1", data=b"\0" * 96):
    """Write an npz whose train_images declare a shape that they do not have."""
    npz(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    header = io.BytesIO()
    values = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, values)
    members["train_images.npy"] = header.getvalue() + data
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((10**12, 28, 28), "|u1", "train_images declares 784000000000000 bytes"),
        ((7, 4, 4), "|u1", r"train_images declares 112 bytes \(7, 4, 4\), and holds 96"),
        ((5, 4, 4), "|u1", "train_images declares 80 bytes"),
        ((6, 4, 4), "|O", "holds Python objects"),
    ],
)
def test_what_a_header_declares_is_checked_before_room_is_made(tmp_path, shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        read_npz(with_header(tmp_path / "x.npz", shape, dtype))
    assert read_npz(with_header(tmp_path / "y.npz", (6, 4, 4))).train.shape == (6, 1, 4, 4)


def test_cast_floats_and_labels_out_of_range_are_refused(tmp_path):
    """0 and 1 among 256 levels are no images of so many."""
    many = {"train_images": np.ones((200, 4, 4, 3), np.uint8), "train_labels": np.arange(200) % 6}
    settings = ["name=mine", "image_shape=[3,4,4]", "num_classes=6"]
    path = npz(tmp_path / "mine.npz", **many)
    with pytest.raises(ValueError, match="train images must have levels 0 .. 255, got none above"):
        build("npz", *settings, f"path={path}")
    assert build("npz", *settings, f"path={path}", "num_levels=2").num_levels == 2
    path = npz(tmp_path / "labels.npz", test_labels=np.array([0, 6]))
    with pytest.raises(ValueError, match=r"test_labels must be integers .* 0 .. 5, got 0 .. 6"):
        build("npz", *settings, f"path={path}")
    path = npz(tmp_path / "huge.npz", test_labels=np.array([0, 2**64 - 1], np.uint64))
    with pytest.raises(ValueError, match=r"test_labels must be integers .* got -1 .. 0"):
        build("npz", *settings, f"path={path}")


@pytest.mark.parametrize("part", [0, 10, 300, 0.9])
def test_a_truncated_file_is_refused(tmp_path, part):
    whole = ASSET.read_bytes()
    path = tmp_path / "x.npz"
    path.write_bytes(whole[: int(part if isinstance(part, int) else part * len(whole))])
    with pytest.raises(ValueError, match="truncated or no npz file"):
        read_npz(path)


def test_another_kind_of_file_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(ValueError, match="truncated or no npz file"):
        read_npz(tmp_path / "x.npy")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_npz(tmp_path / "none.npz")
