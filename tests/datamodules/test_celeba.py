"""CelebA: crop and resize against TensorFlow 1's rule, conversion that goes on, memory maps."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from datamodules import celeba
from datamodules.celeba import CelebA64, crop_and_resize


def build(root, **settings):
    values = {"name": "celeba64", "image_shape": [3, 64, 64], "num_levels": 256}
    values |= {"num_classes": 1, "validation_size": 0, "source": "CelebA", **settings}
    return CelebA64(**values, root=str(root))


@pytest.fixture
def originals(tmp_path):
    """Six originals in torchvision's layout: three to train on, one held out, two to test."""
    folder = tmp_path / "torchvision" / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = []
    for i, part in enumerate("000122"):
        pixels = rng.integers(256, size=(218, 178, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "img_align_celeba" / f"{i}.jpg", quality=100)
        lines.append(f"{i}.jpg {part}\n")
    (folder / "list_eval_partition.txt").write_text("".join(lines))
    return tmp_path


def test_crop_and_resize_are_tensorflow_1s():
    image = np.random.default_rng(0).integers(256, size=(218, 178, 3)).astype(np.uint8)
    crop = image[29:189, 9:169].transpose(2, 0, 1)[None].astype(np.float32)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(
        torch.from_numpy(crop), (64, 64), align_corners=False
    )
    assert np.array_equal(crop_and_resize(image), theirs[0].round().numpy().astype(np.uint8))


def test_conversion_and_memory_map(originals):
    data = build(originals)
    assert not data.is_prepared()
    with pytest.raises(ValueError, match="celeba64 is missing: run `dgmbench prefetch celeba64`"):
        data.setup()
    data.prepare()
    data.setup()
    x, labels = data.split("train")
    assert x.shape == (3, 3, 64, 64)
    assert labels.tolist() == [0, 0, 0]
    assert len(data.split("test")[0]) == 2
    assert len(data.split("validation")[0]) == 0
    jpeg = np.asarray(Image.open(data.originals / "img_align_celeba" / "1.jpg"))
    assert np.array_equal(x[1].numpy(), crop_and_resize(jpeg))
    mapped = np.load(data.path / "train.npy", mmap_mode="r")
    assert mapped.shape == (3, 3, 64, 64)
    before = x[0, 0, 0, 0].item()
    x[0, 0, 0, 0] = 255 - before  # copy on write: the file stays
    assert mapped[0, 0, 0, 0] == before
    assert sorted(p.name for p in data.path.iterdir()) == ["test.npy", "train.npy"]
    aside = build(originals, validation_size=1)
    aside.setup()
    assert [len(aside.split(s)[0]) for s in ("train", "validation")] == [2, 1]
    assert aside.found_fingerprint == data.found_fingerprint


def test_a_cut_conversion_goes_on(originals, monkeypatch):
    monkeypatch.setattr(celeba, "KEPT_EVERY", 1)
    read, seen = celeba._read, []

    def cut(path):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(path.name)
        return read(path)

    monkeypatch.setattr(celeba, "_read", cut)
    with pytest.raises(KeyboardInterrupt):
        build(originals).prepare()
    monkeypatch.setattr(celeba, "_read", lambda path: seen.append(path.name) or read(path))
    build(originals).prepare()
    assert seen == ["0.jpg", "1.jpg", "2.jpg", "4.jpg", "5.jpg"]
    whole = build(originals)
    whole.setup()
    assert whole.split("train")[0].flatten(1).float().std(dim=1).min() > 0


def test_a_failed_download_says_what_to_do_by_hand(tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("quota")

    monkeypatch.setattr("torchvision.datasets.CelebA", fails)
    with pytest.raises(RuntimeError, match="quota .by hand: put list_eval_partition.txt and"):
        build(tmp_path).prepare()


def test_a_cut_extraction_is_done_again(originals, monkeypatch):
    """An image of the list is not there: torchvision is asked again, which extracts its zip."""
    images = originals / "torchvision" / "celeba" / "img_align_celeba"
    kept = (images / "4.jpg").read_bytes()
    (images / "4.jpg").unlink()
    asked = []

    def extracts(root, split, download):
        asked.append(download)
        (images / "4.jpg").write_bytes(kept)

    monkeypatch.setattr("torchvision.datasets.CelebA", extracts)
    build(originals).prepare()
    assert asked == [True]
    assert build(originals).is_prepared()
    (originals / "celeba64" / "test.npy").unlink()
    (images / "4.jpg").unlink()
    monkeypatch.setattr("torchvision.datasets.CelebA", lambda *args, **kwargs: None)
    with pytest.raises(RuntimeError, match="img_align_celeba/4.jpg is missing"):
        build(originals).prepare()


def test_a_prepared_npz_is_accepted_and_a_broken_file_refused(tmp_path):
    images, labels = np.zeros((2, 64, 64, 3), np.uint8), np.zeros(2, np.int64)
    arrays = {"train_images": images, "train_labels": labels}
    arrays |= {"test_images": images, "test_labels": labels}
    np.savez(tmp_path / "celeba64.npz", **arrays)
    data = build(tmp_path)
    data.setup()
    assert data.split("train")[0].shape == (2, 3, 64, 64)
    (tmp_path / "celeba64").mkdir()
    for split in ("train", "test"):
        (tmp_path / "celeba64" / f"{split}.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match="train.npy is no array file"):
        build(tmp_path).setup()
