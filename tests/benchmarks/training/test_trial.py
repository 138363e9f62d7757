"""The trial before a training: it changes nothing, and tells what would fail at the end."""

import random
import re

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.__main__ import main
from benchmarks.core.errors import UserError
from benchmarks.runs.folder import Run
from benchmarks.training.build import begin, build_model, protocols_of, quiet
from benchmarks.training.train import train
from benchmarks.training.trial import try_out
from lit_models.adversarial.gan import GAN
from lit_models.training.checkpoint_files import find_checkpoint
from tests.helpers import KINDS, METHODS, assert_same_state, tiny_run

pytestmark = pytest.mark.trial
OWN_PROTOCOL = (
    "defaults: [{{/extractor@extractor: lenet_fashion}}, _self_]\n"
    "_target_: benchmarks.evaluation.protocols.samples.SampleProtocol\n"
    "metrics:\n"
    "  fd: {{_target_: benchmarks.evaluation.metrics.frechet.FrechetDistance, num_features: 84}}\n"
    "real_split: test\nnum_real: 100\nnum_samples: {}\nround_to_uint8: true\n"
    "seed: 0\nchunk_size: 50\n"
)


def generators():
    return random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002


def same(one, other):
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor | np.ndarray):
        return bool((one == other).all())
    return one == other


@pytest.mark.parametrize("experiment", KINDS)
def test_every_kind_of_training_can_be_tried_and_stays_as_it_is(experiment, outputs, monkeypatch):
    quiet()
    composed = tiny_run(experiment)
    datamodule, protocols = begin(composed), protocols_of(composed.cfg)
    model = build_model(composed.cfg, datamodule, protocols)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    drawn = generators()
    # on a busy machine too
    monkeypatch.setattr("benchmarks.training.trial.UPDATE_SECONDS", float("inf"))
    told = try_out(model, datamodule, composed.cfg, protocols, torch.device("cpu"))
    assert told[0].startswith("3 updates of ")
    assert len(told) == 1 + (len(datamodule.shape) == 3) + len(composed.cfg.protocols)
    assert_same_state(before, model.state_dict())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    assert same(generators(), drawn)
    assert model.images_seen == 0
    assert model.batch_size == composed.cfg.model.batch_size
    assert not list(outputs.rglob("*.png"))


@pytest.mark.parametrize("method", ["wgan_gp", "began", "vae", "pixel_cnn"])
def test_a_training_after_a_trial_is_one_without_it(method, tmp_path, monkeypatch):
    """Weights, buffers, optimizers and logged values, to the bit."""
    found = []
    for name, tried in (("with", True), ("without", False)):
        monkeypatch.setenv("DGMBENCH_OUTPUTS", str(tmp_path / name))
        with monkeypatch.context() as patch:
            if not tried:
                patch.setattr("benchmarks.training.build.try_out", lambda *_: [])
            composed = tiny_run(METHODS[method], steps=3)
            assert train(composed, bar=False).status == "finished"
        run = Run.of(composed)
        checkpoint = find_checkpoint(run.checkpoints, run.id)[1]
        logged = (run.logs / "metrics.csv").read_text().splitlines()
        timeless = [line for line in logged if "per_second" not in line and "time" not in line]
        found.append((checkpoint, timeless))
    (one, log), (other, other_log) = found
    assert_same_state(one["state_dict"], other["state_dict"])
    for a, b in zip(one["optimizer_states"], other["optimizer_states"], strict=True):
        for key, state in a["state"].items():
            assert_same_state(state, b["state"][key])
    assert log == other_log
    assert len(log) > 1


def broken(monkeypatch, name, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(GAN, name, fail)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "generator_objective",
            RuntimeError("size mismatch"),
            "trial of the training step failed",
        ),
        ("grids", KeyError("x"), "trial of the pictures failed"),
        ("discriminator_objective", ValueError("no batch of 1"), "failed.* no batch of 1$"),
    ],
)
def test_what_fails_is_told_before_anything_is_trained(
    outputs, monkeypatch, capsys, name, error, message
):
    composed = tiny_run(METHODS["ns_gan"])
    broken(monkeypatch, name, error)
    with pytest.raises(UserError, match=message) as told:
        train(composed, bar=False)
    folder = Run.of(composed).folder
    assert not (folder / "record.json").exists()
    assert not list(folder.rglob("*.ckpt"))
    assert (folder / "error.txt").exists() == (not isinstance(error, ValueError))
    assert ("traceback: " in str(told.value)) == (not isinstance(error, ValueError))


def test_pictures_of_seven_channels_are_told_before_a_training(outputs, capsys):
    """They can be trained on, and cannot be written."""
    seven = ["datamodule=synthetic", "datamodule.image_shape=[7,8,8]", "protocols=[]"]
    small = [
        "model.generator.network.width=2",
        "model.discriminator.network.width=2",
        "images_seen=64",
    ]
    command = ["train", "experiment=lucic2018/ns_gan", *seven, *small, "--no-bar"]
    for more in (["--trial"], []):
        assert main([*command, *more]) == 2
        told = capsys.readouterr().err
        assert "a trial of the pictures failed, before anything was trained" in told
        assert len(told.strip().splitlines()) == 1
    assert not list(outputs.rglob("record.json"))


def test_batch_norm_of_a_batch_of_one_is_told_before_a_training(outputs, capsys):
    small = [
        "model.generator.network.width=2",
        "model.discriminator.network.width=2",
        "images_seen=64",
    ]
    command = ["train", "experiment=lucic2018/ns_gan_quick", *small, "model.batch_size=1"]
    assert main([*command, "--no-bar"]) == 2
    assert "a trial of the training step failed" in capsys.readouterr().err
    assert not list(outputs.rglob("record.json"))


def test_a_metric_that_wants_more_samples_is_told_before_a_training(outputs, tmp_path, capsys):
    (tmp_path / "protocol").mkdir()
    text = OWN_PROTOCOL.format(84)
    (tmp_path / "protocol" / "mine.yaml").write_text(text)
    command = ["train", "experiment=lucic2018/ns_gan_quick", "--config-dir", str(tmp_path)]
    assert main([*command, "protocols=[mine]", "--trial"]) == 2
    assert "needs more than 84 fake samples, got 84" in capsys.readouterr().err
    (tmp_path / "protocol" / "other.yaml").write_text(
        text.replace("num_samples: 84", "num_samples: 99").replace("features: 84", "features: 42")
    )
    assert main([*command, "protocols=[other]", "--trial"]) == 2
    assert "protocol other failed, before anything was trained: features must have 42" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.batch_size=60000", "images_seen=60000"], "batch_size must be <= 50000"),
        (["model.batch_size=100", "images_seen=99"], "at least one training step of 100 images"),
        (["trainer.devices=foo"], "trainer"),
        (["trainer=ddp_cpu", "trainer.devices=7"], "batch_size must be a multiple of the 7"),
        (["logger=wandb", "+logger.wandb.x=1"], "logger.wandb.x is no setting of wandb_logger"),
    ],
)
def test_a_trial_refuses_what_a_training_refuses(outputs, capsys, overrides, message):
    assert main(["train", "experiment=toy/ns_gan", *overrides, "--trial"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("chunk_size: 50", "chunk_size: 0"), ": chunk_size must be an integer >= 1, got 0"),
        (("num_samples: 99", "num_samples: -5"), ": num_samples must be an integer >= 1, got -5"),
        (("num_real: 100", "num_real: 1.5"), ".num_real must be an integer, got 1.5"),
        (("uint8: true", "uint8: maybe"), ".round_to_uint8 must be true or false, got 'maybe'"),
    ],
)
def test_protocols_that_count_nothing_are_refused(outputs, tmp_path, capsys, change, message):
    (tmp_path / "protocol").mkdir()
    text = OWN_PROTOCOL.format(99)
    (tmp_path / "protocol" / "mine.yaml").write_text(text.replace(*change))
    command = ["train", "experiment=lucic2018/ns_gan_quick", "--config-dir", str(tmp_path)]
    assert main([*command, "protocols=[mine]", "--trial"]) == 2
    assert f"protocol mine{message}" in capsys.readouterr().err


def test_trial_of_the_command_line_leaves_nothing(outputs, capsys):
    assert main(["train", "experiment=toy/wgan", "--trial"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("toy/wgan on gaussian_ring: all that was tried works\n  ")
    assert re.search(r"  [123] updates of 10 images \(", shown)
    assert "protocol modes_2500" in shown
    assert not outputs.exists()


def test_a_model_whose_samples_are_not_finite_is_no_mistake(outputs, monkeypatch):
    """It diverges in its training, and keeps its row."""
    composed = tiny_run(METHODS["ns_gan"])
    monkeypatch.setattr(nn.Sigmoid, "forward", lambda self, x: x * torch.nan)
    assert train(composed, bar=False).status == "diverged"


def test_a_run_that_goes_on_is_not_tried_again(outputs, monkeypatch):
    composed = tiny_run(METHODS["vae"], steps=4)
    calls = []
    monkeypatch.setattr("benchmarks.training.build.try_out", lambda *_: calls.append(1))
    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.training.train._evaluate", lambda *_: 1 / 0)
        assert train(composed, bar=False).status == "failed"
    assert train(composed, bar=False).status == "finished"
    assert calls == [1]
