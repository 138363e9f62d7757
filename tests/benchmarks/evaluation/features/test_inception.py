"""Inception: the resize on all levels, the network against torch-fidelity's own, gaps refused.

The weights are random: what is compared is the path, not the numbers of the published network.
"""

import hashlib

import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.evaluation.features.inception import Inception2015, resize
from benchmarks.evaluation.metrics.classifier_score import ClassifierScore
from benchmarks.evaluation.protocols.samples import SampleProtocol
from benchmarks.evaluation.sources import TensorSource
from tests.helpers import measured


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights in torch-fidelity's naming, and one without the head."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    patch = pytest.MonkeyPatch()
    patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
    torch.save({}, folder / "empty.pth")
    state = FeatureExtractorInceptionV3("x", ["2048"], str(folder / "empty.pth")).state_dict()
    patch.undo()
    torch.save(state, folder / "whole.pth")
    torch.save({k: v for k, v in state.items() if not k.startswith("fc.")}, folder / "pool3.pth")
    return folder


def load(folder, name, monkeypatch):
    monkeypatch.setenv("DGMBENCH_DATA", str(folder))
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return Inception2015(name, [digest])


def test_parity_with_torch_fidelity_on_uint8(weights, monkeypatch):
    ours = load(weights, "whole.pth", monkeypatch)
    theirs = FeatureExtractorInceptionV3(
        "x", ["2048", "logits_unbiased"], str(weights / "whole.pth")
    )
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    pooled, logits = theirs(images)
    found = ours(images)
    torch.testing.assert_close(found.pooled, pooled)
    torch.testing.assert_close(found.logits, logits)


def test_floats_are_not_rounded_and_grey_is_tiled(weights, monkeypatch):
    ours = load(weights, "pool3.pth", monkeypatch)
    grey = torch.rand(2, 1, 28, 28) * 255
    found = ours(grey)
    torch.testing.assert_close(found.pooled, ours(grey.expand(-1, 3, -1, -1)).pooled)
    assert not torch.equal(found.pooled, ours(grey.round()).pooled)
    assert found.logits is None  # no head: the Inception score says so


def test_resize_keeps_all_256_levels():
    levels = torch.arange(256.0).view(256, 1, 1, 1).expand(-1, 3, 8, 8)
    resized = resize(levels)
    # two weights that sum to one, each rounded: not to the bit on every CPU
    expected = levels[:, :, :1, :1].expand_as(resized)
    torch.testing.assert_close(resized, expected, rtol=1e-6, atol=0)


def test_resize_is_tensorflow_1s():
    """No half-pixel centres: output i lies at i * 2 / 299 of the input, the last pixel repeats."""
    row = torch.tensor([0.0, 299.0]).view(1, 1, 1, 2).expand(1, 3, 2, 2)
    resized = resize(row)
    expected = (torch.arange(299.0) * 2).clamp(max=299)
    torch.testing.assert_close(resized[0, 0, 0], expected)


def test_wrong_files_are_refused_before_opening(weights, monkeypatch):
    monkeypatch.setenv("DGMBENCH_DATA", str(weights))
    monkeypatch.setattr("torch.load", None)
    with pytest.raises(ValueError, match=r"weights whole.pth must have SHA-256 00 or 11, got"):
        Inception2015("whole.pth", ["00", "11"])
    with pytest.raises(
        ValueError, match=r"weights file none.pth is missing: run `dgmbench prefetch"
    ):
        Inception2015("none.pth", ["00"])


def test_weights_with_another_gap_are_refused(weights, monkeypatch):
    state = torch.load(weights / "whole.pth", weights_only=True)
    del state["Conv2d_1a_3x3.conv.weight"]
    torch.save(state, weights / "gap.pth")
    with pytest.raises(ValueError, match="weights do not fit the Inception network"):
        load(weights, "gap.pth", monkeypatch)


def test_wrong_channels_are_refused(weights, monkeypatch):
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, got 2"):
        load(weights, "pool3.pth", monkeypatch)(torch.zeros(1, 2, 8, 8))


def test_large_batches_are_worked_off_in_parts(weights, monkeypatch):
    ours = load(weights, "pool3.pth", monkeypatch)
    images = torch.rand(18, 1, 8, 8) * 255
    whole = ours(images).pooled
    assert whole.shape == (18, 2048)
    torch.testing.assert_close(whole[16:], ours(images[16:]).pooled)


@pytest.mark.parametrize(("name", "available"), [("whole.pth", True), ("pool3.pth", False)])
def test_inception_score_needs_the_head(weights, monkeypatch, name, available):
    extractor = load(weights, name, monkeypatch)
    data = instantiate(compose_group("datamodule", "synthetic"), "data")
    data.setup()
    protocol = SampleProtocol(
        extractor, {"inception_score": ClassifierScore(1008, 4, 2)}, "test", 0, 4, True, 0, 2
    )
    source = TensorSource(data.split("test")[0], 256, 0)
    if available:
        protocol.check(source, data)
        assert 1 <= measured(protocol, source, data)["inception_score"] <= 1008
    else:
        with pytest.raises(
            ValueError, match="inception_score is not available: the extractor's weights"
        ):
            protocol.check(source, data)
