"""Any network as an extractor, by config: torchvision's, with weights made here."""

import hashlib

import pytest
import safetensors.torch
import torch
import torchvision
from omegaconf import OmegaConf

from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A ResNet-18 with random weights, in two files."""
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path))
    torch.manual_seed(0)
    made = torchvision.models.resnet18(num_classes=7).eval()
    safetensors.torch.save_file(made.state_dict(), tmp_path / "random.safetensors")
    torch.save(made.state_dict(), tmp_path / "random.pth")
    return made


def config(folder, name="random.safetensors", **settings):
    sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    values = {
        "_target_": "benchmarks.evaluation.features.network.NetworkExtractor",
        "network": {"_target_": "torchvision.models.resnet18", "num_classes": 7},
        "layer": "layer4",
        "weights": name,
        "weights_sha256": [sha256],
        "channels": 3,
        "size": None,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.2, 0.3],
        "has_logits": True,
    }
    return OmegaConf.create({**values, **settings})


@pytest.mark.parametrize("name", ["random.safetensors", "random.pth"])
def test_a_layer_of_torchvisions_network(network, tmp_path, name):
    extractor = instantiate(config(tmp_path, name), "extractor")
    images = torch.rand(3, 1, 32, 32) * 255
    x = images.expand(-1, 3, -1, -1) / 255
    x = (x - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor([0.2, 0.2, 0.3]).view(
        3, 1, 1
    )
    with torch.no_grad():
        logits = network(x)
        pooled = torch.nn.Sequential(*list(network.children())[:-1])(x).flatten(1)
    found = extractor(images)
    torch.testing.assert_close(found.logits, logits)
    torch.testing.assert_close(found.pooled, pooled)  # layer4, averaged, is what avgpool gives
    bigger = instantiate(config(tmp_path, size=64), "extractor")(images)
    assert bigger.pooled.shape == (3, 512)
    assert not torch.allclose(bigger.pooled, pooled)


def test_mistakes(network, tmp_path):
    cases = [
        ({"layer": "layer9"}, "layer must be a submodule of the network, got 'layer9'"),
        ({"weights_sha256": ["00"]}, "random.safetensors must have SHA-256 00, got"),
        ({"weights": "none.pth"}, "weights file none.pth is missing"),
        ({"network": {"_target_": "torchvision.models.resnet18"}}, "do not fit the network"),
    ]
    for settings, message in cases:
        with pytest.raises(UserError, match=message):
            instantiate(config(tmp_path, **settings), "extractor")
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, got 2"):
        instantiate(config(tmp_path), "extractor")(torch.zeros(1, 2, 32, 32))


def test_tokens_are_no_image(tmp_path, monkeypatch):
    """A transformer's (B, tokens, D) has no space to average over."""
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path))
    sizes = {"image_size": 32, "patch_size": 8, "num_layers": 1, "num_heads": 2}
    sizes |= {"hidden_dim": 8, "mlp_dim": 8}
    made = torchvision.models.VisionTransformer(**sizes)
    safetensors.torch.save_file(made.state_dict(), tmp_path / "vit.safetensors")
    target = {"_target_": "torchvision.models.VisionTransformer", **sizes}
    cfg = config(tmp_path, "vit.safetensors", network=target, layer="encoder.ln")
    with pytest.raises(
        ValueError, match=r"must give \(B, D\) or \(B, C, H, W\), got shape \(2, 17"
    ):
        instantiate(cfg, "extractor")(torch.zeros(2, 3, 32, 32))
