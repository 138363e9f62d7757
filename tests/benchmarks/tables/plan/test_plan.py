"""Plans: what is passed on to runs, and which snapshots they keep."""

import pytest

from benchmarks.config.compose import compose
from benchmarks.config.deviations import stated_deviations
from benchmarks.config.identity import run_id
from benchmarks.config.overrides import as_override
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


def test_runs_of_a_table_are_grouped_where_wandb_is_among_their_loggers(mini):
    for given in ("logger=wandb", "logger=[tensorboard,wandb]"):
        command = mini.runs[0].command([given])
        assert "logger.wandb.group=mini" in command
        assert run_id(compose(command[2:]).cfg) == mini.runs[0].run_id
    assert not [o for o in mini.runs[0].command(["logger=csv"]) if o.startswith("logger.")]


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


RING = """
title: Ring
note: A note.
seeds: 2
columns:
  - label: modes
    dataset: gaussian_ring
    protocol: modes_2500
    metric: modes
    better: higher
    digits: 2
rows:
  - {label: A, experiment: toy/ns_gan}
  - label: B
    experiment: toy/ns_gan
    overrides: {model.generator.optimizer.lr: 1.0e-3, model.generator.optimizer.betas: [0, 0.9]}
  - {label: C, experiment: toy_ns_gan, overrides: {loss@model.loss: hinge, model.penalty: null}}
  - {label: D, experiment: toy/wgan, overrides: {images_seen: 2560}, first_seed: 3}
"""


def test_a_row_with_overrides_is_planned_as_train_does_it(mini):
    write_mini(RING)
    plan = make_plan(load_spec("mini"))
    assert [(run.row.label, run.seed) for run in plan.runs] == [
        *(("A", 0), ("A", 1), ("B", 0), ("B", 1), ("C", 0), ("C", 1), ("D", 3), ("D", 4))
    ]
    for run in plan.runs:
        verb, bar, *overrides = run.command(["threads=1"])
        composed = compose(overrides)
        assert (verb, bar, run_id(composed.cfg)) == ("train", "--no-bar", run.run_id)
        assert run.images_seen == composed.cfg.images_seen
        stated = stated_deviations(composed.cfg, composed.overrides)
        set_ = [d for d in stated if d.startswith("overridden: ")]
        assert set_ == [f"overridden: {as_override(*item)}" for item in run.values]
    assert len({run.key for run in plan.runs}) == len(plan.runs)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "{model.generator.optimiser.lr: 1.0}",
            "overrides of row 'E' on gaussian_ring: model.generator.optimiser.lr is not a key of "
            "this experiment; did you mean model.generator.optimizer.lr",
        ),
        ("{images_seen: half}", "row 'E' on gaussian_ring: images_seen must be an integer >= 0"),
        ("{loss@model.loss: hing}", "row 'E' on gaussian_ring: loss 'hing' does not exist; did"),
        (
            "{model.n_critic: 1}",
            "overrides of rows 'A' and 'E' must make runs that differ on gaussian_ring, got the",
        ),
    ],
)
def test_overrides_that_do_not_fit_are_told_by_row_and_key(mini, row, message):
    write_mini(f"{RING}  - {{label: E, experiment: toy/ns_gan, overrides: {row}}}\n")
    with pytest.raises(UserError) as error:
        make_plan(load_spec("mini"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
