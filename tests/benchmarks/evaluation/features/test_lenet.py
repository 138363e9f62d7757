"""The committed classifiers: hash first, then what their cards say."""

import re

import pytest
import torch

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError
from benchmarks.evaluation.features.lenet import HERE, LeNetFashion

CFG = compose_group("extractor", "lenet_fashion")
TRAINED_ON = {"lenet_fashion": "fashion_mnist_small", "lenet_mnist": "mnist"}


@pytest.fixture(scope="module")
def extractor():
    return instantiate(CFG, "extractor")


@pytest.mark.parametrize("name", TRAINED_ON)
def test_card_agrees_with_the_weights(name):
    card = (HERE / f"{name}.md").read_text()
    assert compose_group("extractor", name).weights_sha256 in card
    assert (HERE / f"{name}.safetensors").stat().st_size < 1_000_000
    pinned = compose_group("datamodule", TRAINED_ON[name]).fingerprint
    assert pinned in card


@pytest.mark.parametrize(
    "name", ["lenet_fashion", pytest.param("lenet_mnist", marks=pytest.mark.data)]
)
def test_card_agrees_with_the_accuracy(name):
    data = instantiate(compose_group("datamodule", TRAINED_ON[name]), "data")
    data.setup()
    x, y = data.split("test")
    logits = instantiate(compose_group("extractor", name), "extractor")(x.float()).logits
    accuracy = (logits.argmax(1) == y).double().mean().item()
    card = (HERE / f"{name}.md").read_text()
    stated = float(re.search(r"test images .*?: ([\d.]+)%", card, re.DOTALL)[1]) / 100
    assert accuracy == pytest.approx(stated, abs=5e-4)


def test_digits_are_read_in_three_colours():
    """The joint logits are sums of log-probabilities, in the order of the class."""
    single = instantiate(compose_group("extractor", "lenet_mnist"), "extractor")
    stacked = instantiate(compose_group("extractor", "lenet_stacked_mnist"), "extractor")
    x = torch.rand(4, 3, 28, 28, generator=torch.Generator().manual_seed(0)) * 255
    found = stacked(x)
    parts = [single(x[:, c : c + 1]) for c in range(3)]
    log_p = [part.logits.log_softmax(1) for part in parts]
    assert found.logits.shape == (4, 1000)
    expected = log_p[0][:, 7] + log_p[1][:, 0] + log_p[2][:, 3]
    torch.testing.assert_close(found.logits[:, 703], expected)
    torch.testing.assert_close(found.pooled, torch.cat([p.pooled for p in parts], 1))


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
    monkeypatch.setattr(LeNetFashion, "weights", tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="weights file none.safetensors is missing"):
        instantiate(CFG, "extractor")
