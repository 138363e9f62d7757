"""Plans: what is passed on to runs, and which snapshots they keep."""

import pytest

from benchmarks.core.errors import UserError
from benchmarks.runs.folder import Run
from benchmarks.tables.plan import plan as plans
from benchmarks.tables.plan.plan import check_passed_on, make_plan
from benchmarks.tables.spec import load_spec
from benchmarks.training.train import train
from lit_models.training.checkpoint_files import find_snapshots
from tests.benchmarks.tables.helpers import MINI, write_mini
from tests.helpers import tiny_run


def test_only_overrides_that_do_not_change_the_runs_pass():
    spec = load_spec("quick")
    check_passed_on(spec, ["trainer=ddp_cpu", "trainer.devices=2", "logger=wandb", "threads=1"])
    for override in ("seed=1", "images_seen=5", "model.n_critic=2", "trainers=x"):
        with pytest.raises(UserError, match="overrides of trainer, logger, threads, "):
            check_passed_on(spec, [override])
    for override in ("trainer=nope", "logger.entityy=3", "threads=0"):
        with pytest.raises(UserError):
            check_passed_on(spec, [override])


def test_selection_needs_snapshots_and_a_known_name(mini):
    text = MINI.replace("note: A note.", "selection: test_as_in_paper\nnote: A note.")
    write_mini(text)
    with pytest.raises(UserError, match="selection test_as_in_paper needs snapshots, and snapsh"):
        make_plan(load_spec("mini"), 1)
    for wrong, message in (
        ("best", "selection must be one of none, validation, test_as_in_paper, got 'best'"),
        ("validation", "selected_by must be given for selection validation, and only then"),
    ):
        write_mini(text.replace("test_as_in_paper", wrong))
        with pytest.raises(UserError, match=message):
            load_spec("mini")


def test_planned_snapshots_are_those_a_run_keeps(outputs):
    """Steps of 40 images, every 100: the first step at or past each, within whole steps."""
    composed = tiny_run("lucic2018/wgan_gp_quick", ["snapshot_every_images=100"], steps=9)
    composed.cfg.images_seen = 399  # 360 in whole steps
    train(composed, bar=False)
    planned = plans._snapshots(load_spec("quick"), composed.cfg, composed.experiment)
    assert list(planned) == find_snapshots(Run.of(composed).checkpoints) == [120, 200, 320]


def test_a_selector_must_look_at_validation_images(mini):
    text = MINI.replace("note: A", "selection: validation\nselected_by: NAME\nnote: A")
    for name, message in (
        ("fid_10k_test10k", "must be a protocol on the validation split, got fid_10k_test10k on"),
        ("fid", "protocol 'fid' does not exist"),
    ):
        write_mini(text.replace("NAME", name))
        with pytest.raises(UserError, match=message):
            make_plan(load_spec("mini"), 1)
