"""What makes a GPU run fast changes rounding only: bf16, memory format, compilation."""

import os
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning import Callback

from benchmarks.config.instantiate import instantiate
from benchmarks.core.environment import exact_arithmetic
from lit_models.adversarial.penalties import gradient_norm
from tests.helpers import (
    METHODS,
    assert_same_state,
    bare_trainer,
    state_of,
    tiny_run,
    without_dead_biases,
)


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


def test_the_penalty_and_its_gradient_are_in_float32_under_bf16():
    """By training: with only the penalty in the loss, bf16 gives the weights of float32."""
    states = []
    for precision in ("32-true", "bf16-mixed"):
        model, data = build("wgan_gp")
        loss = model.penalty
        model.discriminator_objective = partial(penalty_alone, model, loss)
        bare_trainer(3, precision=precision).fit(model, datamodule=data)
        states.append(state_of(model.discriminator))
    assert_same_state(*states)


def penalty_alone(model, penalty, real, z, labels):
    # the same points in both precisions: no generator
    return penalty(model.discriminator.forward, real, real.flip(0), model.noise)


def test_the_penalty_by_hand_under_bf16():
    """D(x) = w.x with w = 1/3 in three dimensions: |w|^2 = 1/3, which bf16 cannot hold."""
    network = torch.nn.Linear(3, 1, bias=False)
    network.weight.data.fill_(1 / 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.ones(2, 3)).dtype == torch.bfloat16
        norm = gradient_norm(network, torch.randn(2, 3), 0.0)
    torch.testing.assert_close(norm, torch.full((2,), 3**-0.5), rtol=1e-6, atol=0)


@pytest.mark.parametrize("method", ["ns_gan", "wgan_gp", "began", "vae", "pixel_cnn"])
def test_channels_last_trains_the_same_model(method):
    a, b = trained(method), trained(method, channels_last=True)
    # float64: another order of sums, in few steps
    assert_same_state(
        without_dead_biases(a.state_dict()), without_dead_biases(b.state_dict()), 1e-8, 1e-10
    )
    x = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    batch = b.on_after_batch_transfer((x, torch.zeros(2)), 0)[0]
    assert batch.is_contiguous(memory_format=torch.channels_last)
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


def test_batches_are_made_where_the_data_are_kept():
    """On a device without numbers: only the shapes are computed."""
    model, data = build("ns_gan")
    data.trainer = SimpleNamespace(lightning_module=model, global_rank=0, world_size=1)
    data.device = torch.device("meta")
    x, labels = next(iter(data.train_dataloader()))
    assert x.device.type == labels.device.type == "meta"
    assert data.split("train")[0].device.type == "cpu"


def test_arithmetic_is_exact_on_gpus(monkeypatch):
    flags = torch.backends.cudnn, torch.backends.cuda.matmul
    monkeypatch.setattr(flags[0], "allow_tf32", True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    exact_arithmetic()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not flags[0].allow_tf32
    assert not flags[1].allow_tf32
    assert flags[0].deterministic
