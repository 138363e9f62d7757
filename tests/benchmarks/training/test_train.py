"""A run's record, its identity, and what ends it early."""

import json
import os
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.config.compose import compose
from benchmarks.core.errors import UserError
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from benchmarks.training.train import train
from lit_models.callbacks.monitor import DivergedError
from lit_models.training.checkpoint_files import find_checkpoints
from lit_models.vae.lit_vae import VAE
from tests.helpers import METHODS, assert_same_state, tiny_run


def checkpoint(run):
    path = max(run.checkpoints.glob("*.ckpt"), key=lambda p: int(p.stem))
    return torch.load(path, weights_only=True)


def test_the_record_says_what_was_done(outputs):
    composed = tiny_run(METHODS["wgan_gp"], steps=3)
    train(composed, bar=False)
    run = Run.of(composed)
    text = run.record_path.read_text()
    record = Record.from_json(text)
    assert (
        run.folder == outputs / "lucic2018_wgan_gp_quick" / "fashion_mnist_small" / record.run_id
    )
    assert record.status == "finished"
    assert record.reason is None
    assert record.counters == {"images_seen": 120, "budget_images": 120, "updates": 3}
    assert record.config["model"]["n_critic"] == 5
    assert record.cost["seconds"] > 0
    assert record.cost["threads"] == 1
    assert len(record.data_fingerprint) == 64
    assert set(record.versions) >= {"python", "torch", "lightning"}
    assert str(outputs) not in text
    assert json.loads(run.progress_path.read_text())["images_seen"] == 120


def test_a_budget_is_rounded_down_to_whole_updates(outputs):
    composed = tiny_run(METHODS["vae"])
    composed.cfg.images_seen = 8 * 3 + 7
    record = train(composed, bar=False)
    assert record.counters == {"images_seen": 24, "budget_images": 31, "updates": 3}


def test_a_run_is_scored_by_as_many_draws_as_are_asked_for(outputs):
    """More of them later score it again, and train nothing."""
    toy = ["experiment=toy/ns_gan", "images_seen=512", "protocols=[modes_2500]"]
    first = train(compose([*toy, "draws=2"]), bar=False)
    (scored,) = first.evaluations
    assert scored.num_draws == 2
    assert len(set(scored.draws["reverse_kl"])) == 2
    assert train(compose(toy), bar=False).evaluations == [scored]
    (again,) = train(compose([*toy, "draws=3"]), bar=False).evaluations
    assert again.draws["reverse_kl"][:2] == scored.draws["reverse_kl"]
    assert again.num_draws == 3
    assert train(compose(toy), bar=False).started == first.started


@pytest.mark.parametrize(
    ("setting", "instead"),
    [
        ("fast_dev_run=true", "here it is --trial"),
        ("max_epochs=1", "here it is images_seen"),
        ("max_steps=3", "here it is images_seen"),
        ("max_time='00:00:00:01'", "here it is images_seen"),
        ("limit_train_batches=1", "here it is images_seen"),
        ("overfit_batches=1", "here it is a data set of few images"),
        ("accumulate_grad_batches=2", "here it is model.batch_size"),
        ("gradient_clip_val=1.0", "here it is model.clip_grad_norm"),
        ("callbacks=[]", "here it is the suite's own"),
        ("precision=16", "here it is precision"),
        ("sync_batchnorm=true", "is given accelerator, benchmark, "),
        ("plugins=[]", "is given accelerator, benchmark, "),
    ],
)
def test_a_trainers_own_limits_are_refused(outputs, capsys, setting, instead):
    """They would end a run that its record calls finished, or train another one."""
    assert main(["train", "experiment=toy/ns_gan", f"+trainer.{setting}"]) == 2
    told = capsys.readouterr().err
    assert f"trainer.{setting.split('=')[0]} must not be set" in told
    assert instead in told
    assert not list(outputs.rglob("record.json"))


def test_settings_that_only_watch_a_training_are_a_trainers(outputs):
    composed = tiny_run(METHODS["vae"])
    composed.cfg.trainer.detect_anomaly = composed.cfg.trainer.deterministic = True
    assert train(composed, bar=False).status == "finished"


@pytest.mark.parametrize("precision", ["16-mixed", "16-true"])
def test_float16_on_a_cpu_is_refused(outputs, capsys, precision):
    """Lightning would take bfloat16 for the first, and the record would say 16."""
    assert main(["train", "experiment=toy/ns_gan", "trainer=cpu", f"precision={precision}"]) == 2
    told = capsys.readouterr().err
    assert "precision must be 32-true, 64-true, bf16-mixed or bf16-true on a CPU" in told
    assert told.strip().endswith(f"got {precision}")


def test_a_training_that_something_cuts_short_is_not_finished(outputs, monkeypatch):
    composed = tiny_run(METHODS["vae"], steps=6)
    with monkeypatch.context() as patch:
        step = VAE.train_step

        def stop(self, *batch):
            self.trainer.should_stop = self.images_seen >= 16
            return step(self, *batch)

        patch.setattr(VAE, "train_step", stop)
        record = train(composed, bar=False)
    assert record.status == "interrupted"
    assert record.reason == "the training ended after 24 of 48 images"
    assert record.evaluations == []
    assert train(composed, bar=False).status == "finished"


def test_a_run_that_learned_nothing_says_so(outputs, capsys):
    """Every loss is finite at a learning rate of 1,000, and the run is finished."""
    command = ["train", "experiment=toy/ns_gan", "images_seen=25600", "--no-bar"]
    wild = ["model.generator.optimizer.lr=1000.0", "model.discriminator.optimizer.lr=1000.0"]
    assert main([*command, *wild]) == 0
    shown = capsys.readouterr().out
    assert "finished: " in shown
    assert "modes_2500: modes 0 is no better than the untrained model's" in shown
    (path,) = outputs.rglob("record.json")
    (note,) = Record.from_json(path.read_text()).notes
    assert note in shown


def test_same_seed_same_bits_other_seed_other_bits(outputs):
    states = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        composed = tiny_run(METHODS["ns_gan"], [f"seed={seed}"])
        train(composed, bar=False)
        run = Run.of(composed)
        states[name] = checkpoint(run)["state_dict"]
        run.folder.rename(outputs / name)
    assert_same_state(states["a"], states["b"])
    assert any(not torch.equal(states["a"][k], states["c"][k]) for k in states["a"])


def test_nan_is_a_diverged_record_and_stays_one(outputs, monkeypatch):
    plain = VAE.train_step
    calls = []

    def poisoned(self, x, labels):
        calls.append(self.images_seen)
        loss = plain(self, x, labels)
        if self.images_seen >= 16:
            self.track(loss=loss * float("nan"))
        return loss

    monkeypatch.setattr(VAE, "train_step", poisoned)
    composed = tiny_run(METHODS["vae"], steps=6)
    record = train(composed, bar=False)
    assert record.status == "diverged"
    assert record.reason == "train/loss = nan after 24 images"
    assert record.counters["images_seen"] == 24
    assert record.cost["seconds"] > 0
    assert len(record.data_fingerprint) == 64
    assert Run.of(composed).record().status == "diverged"
    before = len(calls)
    assert train(composed, bar=False).status == "diverged"
    assert len(calls) == before  # a diverged run is a result: it is not tried again


def test_an_internal_error_is_a_failed_record_with_its_traceback(outputs, monkeypatch):
    def broken(self, x, labels):
        raise RuntimeError("out of\nluck")

    composed = tiny_run(METHODS["vae"])
    with monkeypatch.context() as patch:
        patch.setattr(VAE, "train_step", broken)
        record = train(composed, bar=False)
    assert record.status == "failed"
    assert record.reason == "RuntimeError: out of luck"
    assert "Traceback" in (Run.of(composed).folder / "error.txt").read_text()
    assert train(composed, bar=False).status == "finished"  # and it is tried again


def test_evaluations_are_appended_once(outputs):
    composed = tiny_run(METHODS["pixel_cnn"])
    composed.cfg.protocols = ["bits_per_dim_test"]
    record = train(composed, bar=False)
    (evaluation,) = record.evaluations
    assert evaluation.attributes == {"likelihood": "exact"}
    assert evaluation.images_seen == record.counters["images_seen"]
    again = train(composed, bar=False)
    assert again.evaluations == record.evaluations  # seconds included: it was not repeated


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.n_critic=0"], "model: n_critic must be >= 1, got 0"),
        (
            ["model.batch_size=20000"],
            "batch_size must be <= 10000, the number of training images, got 20000",
        ),
        (["images_seen=10"], "images_seen must be 0 or at least one training step of 64 images"),
        (["datamodule.validation_size=abc"], "validation_size must be an integer, got 'abc'"),
        (["protocols=[bits_per_dim_test]"], "this protocol needs a model with a likelihood"),
        (["weights=ema"], "weights must be raw for this model, got ema"),
        (
            ["datamodule.fingerprint=abc"],
            "fingerprint of fashion_mnist_small must be abc, got 491d",
        ),
        (
            ["datamodule=digits", "model.generator.network.image_shape=[1,9,9]", "images_seen=64"],
            "divisible",
        ),
    ],
)
def test_mistakes_are_found_before_training(outputs, overrides, message):
    composed = compose(["experiment=lucic2018/ns_gan_quick", *overrides])
    with pytest.raises(UserError) as error:
        train(composed, bar=False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_config_is_refused(outputs):
    composed = tiny_run(METHODS["vae"])
    other = tiny_run(METHODS["vae"])
    other.cfg.model.kl_weight = 2.0
    train(other, bar=False)
    run = Run.of(composed)
    run.checkpoints.mkdir(parents=True)
    source = next(Run.of(other).checkpoints.glob("*.ckpt"))
    source.rename(run.checkpoints / source.name)
    with pytest.raises(UserError, match="must come from run"):
        train(composed, bar=False)


def test_a_checkpoint_of_another_model_is_refused(outputs):
    composed = tiny_run(METHODS["vae"])
    train(composed, bar=False)
    run = Run.of(composed)
    (newest, *_) = find_checkpoints(run.checkpoints)
    content = torch.load(newest, weights_only=True)
    content["state_dict"]["encoder.other"] = torch.zeros(1)
    for path in find_checkpoints(run.checkpoints):
        path.unlink()
    torch.save(content, newest)
    run.record_path.unlink()
    with pytest.raises(UserError, match="must hold this model's weights.*encoder.other differs"):
        train(composed, bar=False)


def npz_run(path, **sizes):
    overrides = ["datamodule=npz", "datamodule.name=mine", f"datamodule.path={path}"]
    overrides += ["datamodule.image_shape=[1,8,8]", "datamodule.num_classes=2", "images_seen=16"]
    composed = compose(["experiment=lucic2018/vae_quick", *overrides, "protocols=[]"])
    composed.cfg.model.batch_size = 8
    return composed


def write_npz(path, level):
    images, labels = np.full((8, 8, 8), level, np.uint8), np.arange(8) % 2
    np.savez(
        path, train_images=images, train_labels=labels, test_images=images, test_labels=labels
    )


def test_a_run_is_tied_to_its_data_not_to_their_path(outputs, tmp_path):
    for name, level in (("a", 1), ("b", 2)):
        write_npz(tmp_path / f"{name}.npz", level)
    first = train(npz_run(tmp_path / "a.npz"), bar=False)
    assert first.status == "finished"
    assert str(tmp_path) not in first.to_json()
    (tmp_path / "a.npz").rename(tmp_path / "moved.npz")
    assert train(npz_run(tmp_path / "moved.npz"), bar=False).to_json() == first.to_json()
    with pytest.raises(UserError, match="data set mine must have fingerprint .* run began, got"):
        train(npz_run(tmp_path / "b.npz"), bar=False)


def test_a_run_in_use_is_left_alone(outputs):
    composed = tiny_run(METHODS["vae"])
    run = Run.of(composed)
    run.folder.mkdir(parents=True)
    with run.locked(), pytest.raises(UserError, match=f"is in use by process {os.getpid()} on "):
        train(composed, bar=False)
    assert train(composed, bar=False).status == "finished"


def test_a_finished_run_keeps_its_status_whatever_a_later_evaluation_does(outputs, monkeypatch):
    composed = tiny_run(METHODS["pixel_cnn"])
    train(composed, bar=False)
    composed.cfg.protocols = ["bits_per_dim_test"]
    for error in (DivergedError("samples"), KeyboardInterrupt(), RuntimeError("x")):
        with monkeypatch.context() as patch:
            patch.setattr("benchmarks.training.build.Scoring.__call__", Mock(side_effect=error))
            with pytest.raises(type(error)):
                train(composed, bar=False)
        assert Run.of(composed).record().status == "finished"
    assert len(train(composed, bar=False).evaluations) == 1


def test_an_unwritable_folder_is_found_first(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match="outputs must be a writable folder"):
        train(tiny_run(METHODS["vae"]), bar=False)


CVAE, LOGISTIC = "sohn2015/cvae_quick", "kingma2014/vae_logistic_quick"


@pytest.mark.parametrize(
    ("experiment", "overrides", "message"),
    [
        (
            LOGISTIC,
            ["model.decoder.outputs=2"],
            "decoder must give 1 maps of 8x8 for DiscretizedLogistic, got 2x8x8",
        ),
        (
            LOGISTIC,
            ["model.num_classes=10"],
            "encoder and decoder must be the model's 10, got None",
        ),
        (
            CVAE,
            ["model.num_classes=5"],
            "cover the labels of data set digits, got 5 classes and lab",
        ),
        ("toy/ns_gan", ["model._target_=torch.nn.Identity"], "must be a class that inherits from"),
        (CVAE, ["model.num_classes=null"], "encoder and decoder must be the model's None, got 10"),
        (CVAE, ["datamodule.num_classes=null"], "num_classes must be an integer, got None"),
        (
            LOGISTIC,
            ["model.encoder.out_features=19"],
            "out_features of the encoder must be 20, mean",
        ),
        ("kingma2016/iaf_quick", ["model.prior.dim=11"], "out_features of the encoder must be 38"),
        ("kingma2016/iaf_quick", ["model.flow.dim=11"], "its networks do not fit each other"),
        (
            "oord2016/pixelcnn_quick",
            ["model.image_shape=[1,9,9]"],
            r"model.image_shape must be that of digits, \(1, 8, 8\), got \(1, 9, 9\)",
        ),
        (
            "oord2016b/conditional_gated_pixelcnn_quick",
            ["model.num_classes=5", "model.network.condition_features=5"],
            "got 5 classes and labels up to 9",
        ),
        (
            "vincent2010/denoising_autoencoder_quick",
            ["model.corruption.fraction=1.5"],
            r"fraction must be in \[0, 1\], got 1.5",
        ),
        (
            "burda2016/iwae_logistic_quick",
            ["model.objective.num_samples=2.5"],
            "num_samples must be an integer, got 2.5",
        ),
    ],
)
def test_models_that_do_not_fit_are_found_before_training(outputs, experiment, overrides, message):
    composed = compose([f"experiment={experiment}", *overrides])
    with pytest.raises(UserError, match=message):
        train(composed, bar=False)
    assert not Run.of(composed).checkpoints.exists()
