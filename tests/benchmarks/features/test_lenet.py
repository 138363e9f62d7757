"""The committed classifier: hash first, then what its card says."""

import re

import pytest
import torch

from benchmarks.compose import compose_group
from benchmarks.errors import UserError
from benchmarks.features.lenet import WEIGHTS, LeNetFashion
from benchmarks.instantiate import instantiate

CFG = compose_group("protocol", "fd_lenet_2k_test2k").extractor
CARD = WEIGHTS.with_suffix(".md").read_text()


@pytest.fixture(scope="module")
def extractor():
    return instantiate(CFG, "extractor")


def test_card_agrees_with_weights_and_accuracy(extractor):
    assert CFG.weights_sha256 in CARD
    assert WEIGHTS.stat().st_size < 1_000_000
    data = instantiate(compose_group("datamodule", "fashion_mnist_small"), "data")
    data.setup()
    assert data.found_fingerprint in CARD
    x, y = data.split("test")
    logits = extractor(x.float()).logits
    accuracy = (logits.argmax(1) == y).double().mean().item()
    stated = float(re.search(r"test images .*?: ([\d.]+)%", CARD, re.DOTALL)[1]) / 100
    assert accuracy == pytest.approx(stated, abs=5e-4)


def test_features_and_their_independence_of_the_batch(extractor):
    x = torch.rand(8, 1, 28, 28) * 255
    whole = extractor(x)
    assert whole.pooled.shape == (8, 64)
    assert whole.logits.shape == (8, 10)
    torch.testing.assert_close(extractor(x[:3]).pooled, whole.pooled[:3])


def test_wrong_hash_is_refused_before_opening(monkeypatch):
    monkeypatch.setattr("safetensors.torch.load_file", None)
    with pytest.raises(ValueError, match="weights lenet_fashion.safetensors must have SHA-256 00"):
        LeNetFashion("00")


def test_wrong_shape_is_refused(extractor):
    with pytest.raises(
        ValueError, match=r"takes images of shape \(1, 28, 28\), got \(3, 32, 32\)"
    ):
        extractor(torch.zeros(2, 3, 32, 32))


def test_missing_weights_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.features.lenet.WEIGHTS", tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="weights file none.safetensors is missing"):
        instantiate(CFG, "extractor")
