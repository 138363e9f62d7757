"""What a run is built with: loggers, callbacks, its Trainer, and what is refused then."""

from typing import ClassVar

import pytest
from lightning import Callback

from benchmarks.__main__ import main
from benchmarks.config.compose import compose
from benchmarks.config.identity import run_id
from benchmarks.config.overrides import choices
from benchmarks.core.errors import UserError
from benchmarks.runs.folder import Run
from benchmarks.training import build
from benchmarks.training.train import train
from tests.helpers import tiny_run

TOY = "experiment=toy/ns_gan"
MINE = f"+callbacks.mine={{_target_: {__name__}.Counts, every: 2}}"


class Counts(Callback):
    """Counts updates, over restarts too."""

    seen: ClassVar = []

    def __init__(self, every: int) -> None:
        self.every, self.updates = every, 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.updates += 1
        if self.updates % self.every == 0:
            Counts.seen.append(pl_module.images_seen)

    def state_dict(self):
        return {"updates": self.updates}

    def load_state_dict(self, state_dict):
        self.updates = state_dict["updates"]


def test_own_callbacks_take_part_and_are_no_part_of_the_id(outputs):
    plain, composed = tiny_run("toy/ns_gan"), tiny_run("toy/ns_gan", [MINE])
    assert run_id(composed.cfg) == run_id(plain.cfg)
    Counts.seen.clear()
    assert train(composed, bar=False).status == "finished"
    step = composed.cfg.images_seen // 4
    assert Counts.seen == [2 * step, 4 * step]


def test_a_group_of_callbacks_and_one_that_is_taken_back(own_configs):
    (own_configs / "callbacks").mkdir()
    for name in ("one", "two"):
        text = f"{name}: {{_target_: {__name__}.Counts, every: 3}}\n"
        (own_configs / "callbacks" / f"{name}.yaml").write_text(text)
    cfg = compose([TOY, "callbacks=[one,two]", "callbacks.two=null"]).cfg
    assert [callback.every for callback in build._own_callbacks(cfg)] == [3]
    with pytest.raises(UserError, match="callbacks 'thre' does not exist; known: one, two"):
        compose([TOY, "callbacks=[one,thre]"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+callbacks.mine={_target_: torch.nn.ReLU}", "callbacks.mine._target_ must be a class"),
        (f"+callbacks.mine={{_target_: {__name__}.Counts, evry: 1}}", "did you mean every"),
        ("+callbacks.mine={_target_: nowhere.Mine}", "callbacks.mine._target_ must name an imp"),
        ("+callbacks.mine=3", "callbacks.mine must be a config that has a _target_, or null"),
        ("callbacks=3", "callbacks must map names to configs that have a _target_"),
        ("logger=null", "logger must be names of configs, got logger=null"),
        ("logger=[csv,tensorbord]", "logger 'tensorbord' does not exist; did you mean tensorboar"),
        ("logger.wandb.mode=offline", "logger.wandb.mode is not a key of this experiment"),
    ],
)
def test_what_is_no_logger_or_callback_is_one_line(override, message):
    with pytest.raises(UserError) as error:
        build._own_callbacks(compose([TOY, override]).cfg)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_several_loggers(outputs):
    cfg = compose([TOY, "logger=[csv,wandb,tensorboard,mlflow]", "logger.wandb.mode=offline"]).cfg
    assert list(cfg.logger) == ["csv", "wandb", "tensorboard", "mlflow"]
    assert cfg.logger.wandb.mode == "offline"
    plain = tiny_run("toy/ns_gan")
    (history,) = build._loggers(plain.cfg, Run.of(plain), 0)  # every run has it
    assert history.path == Run.of(plain).logs / "metrics.csv"
    assert choices(["threads=1", "logger=[csv,wandb]"], "logger") == ["csv", "wandb"]
    assert choices(["logger=wandb", "logger.wandb.mode=offline"], "logger") == ["wandb"]


@pytest.mark.parametrize("job", ["mine", "bash"])
def test_one_process_in_an_interactive_session_of_slurm_for_several(monkeypatch, job):
    """It was started by nobody's srun: Lightning would refuse the session."""
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NAME", job)
    for name in ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert build._trainer(compose([TOY, "trainer=cpu"]).cfg, logger=False).world_size == 1


@pytest.mark.parametrize("every", [1, 640])
def test_pictures_of_points_are_refused_before_training(every, outputs, capsys):
    assert main(["train", TOY, f"sample_grid_every_images={every}", "--trial"]) == 2
    said = capsys.readouterr().err
    assert "sample_grid_every_images must be null for gaussian_ring, which holds no images" in said


def test_a_run_without_a_protocol_says_that_it_has_no_score(outputs, capsys):
    call = ["train", TOY, "images_seen=256", "protocols=[]", "--no-bar"]
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "not scored, since no protocol was named: dgmbench evaluate RUN protocol=" in said
    assert main([*call[:-2], "protocols=[modes_2500]", "--no-bar"]) == 0
    assert "not scored" not in capsys.readouterr().out
