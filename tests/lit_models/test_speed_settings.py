"""What makes a GPU run fast changes rounding only: bf16, memory format, compilation."""

import pytest
import torch
from lightning import Callback

from benchmarks.instantiate import instantiate
from lit_models.adversarial.penalties import gradient_norm
from tests.helpers import METHODS, assert_same_state, bare_trainer, tiny_run, without_dead_biases


def build(method):
    cfg = tiny_run(METHODS[method]).cfg
    torch.manual_seed(0)
    model = instantiate(cfg.model, "model")
    data = instantiate(cfg.datamodule, "datamodule")
    data.setup()
    return model, data


def trained(method, precision="64-true", steps=4, channels_last=False, compile=False, **settings):
    model, data = build(method)
    model.speed_up(channels_last, compile)
    bare_trainer(steps, precision=precision, **settings).fit(model, datamodule=data)
    return model


@pytest.mark.parametrize("method", METHODS)
def test_bf16_trains_with_losses_in_float32(method):
    model = trained(method, precision="bf16-mixed")
    for name, value in model.scalars.items():
        assert value.isfinite(), name
        assert value.dtype == torch.float32, name
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_penalty_is_in_float32_under_bf16():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x = torch.randn(6, 5)
    expected = gradient_norm(network, x, 1e-12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(x).dtype == torch.bfloat16
        assert torch.equal(gradient_norm(network, x, 1e-12), expected)


@pytest.mark.parametrize("method", ["ns_gan", "wgan_gp", "began", "vae", "pixel_cnn"])
def test_channels_last_trains_the_same_model(method):
    a, b = trained(method), trained(method, channels_last=True)
    # float64: another order of sums, in few steps
    assert_same_state(
        without_dead_biases(a.state_dict()), without_dead_biases(b.state_dict()), 1e-8, 1e-10
    )
    weights = [p for p in b.parameters() if p.dim() == 4 and min(p.shape) > 1]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ns_gan", "wgan_gp", "vae"])
def test_compiled_networks_train_the_same_model(method):
    """The penalty of WGAN-GP needs a second derivative, which a compiled network has not."""
    a, b = trained(method), trained(method, compile=True)
    assert list(a.state_dict()) == list(b.state_dict())
    assert_same_state(
        without_dead_biases(a.state_dict()), without_dead_biases(b.state_dict()), 1e-6, 1e-8
    )


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_no_step_waits_for_the_device(method):
    """After the first step, which allocates, a synchronisation is an error."""

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            torch.cuda.set_sync_debug_mode("error")

        def on_train_end(self, trainer, pl_module):
            torch.cuda.set_sync_debug_mode("default")

    model, data = build(method)
    data.device = torch.device("cuda", 0)
    model.speed_up(channels_last=True, compile=False)
    try:
        bare_trainer(5, accelerator="gpu", callbacks=[Watch()]).fit(model, datamodule=data)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert model.images_seen == 5 * model.images_per_step
