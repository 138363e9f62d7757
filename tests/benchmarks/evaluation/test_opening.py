"""Runs opened again: what has changed since is told, and what is another run's refused."""

import shutil

import pytest
from omegaconf import OmegaConf

from benchmarks.__main__ import main
from benchmarks.config.identity import sources_hash
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from tests.helpers import tiny_run

LOSS = """
from lit_models.adversarial.losses import NonSaturatingLoss


class MyLoss(NonSaturatingLoss):
    pass
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The one file of a package of a user's own."""
    path = tmp_path_factory.mktemp("own") / "opened_parts.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DGMBENCH_TRUST", path.stem)
        patch.syspath_prepend(path.parent)
        yield path


@pytest.fixture(scope="module")
def trained(package, tmp_path_factory):
    """Two runs with its loss, of two seeds."""
    write(package, LOSS)
    outputs = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DGMBENCH_OUTPUTS", str(outputs))
        for seed in (0, 1):
            loss = "model.loss._target_=opened_parts.MyLoss"
            train(tiny_run("toy/ns_gan", [loss, f"seed={seed}"]), bar=False)
    return outputs


def write(package, text):
    package.write_text(text)
    sources_hash.cache_clear()


@pytest.fixture
def run(trained, package, outputs):
    """The first of them; a remark has been added to the package since."""
    shutil.copytree(trained, outputs)
    write(package, f"{LOSS}# a remark\n")
    return Run(next(outputs.glob("*/*/*-s0")))


VERBS = (["evaluate", "protocol=modes_2500", "checkpoint=all"], ["export", "--samples", "2"])


@pytest.mark.parametrize("verb", VERBS, ids=lambda v: v[0])
def test_a_run_opens_after_its_sources_have_changed_and_says_so_once(run, capsys, verb):
    assert main([verb[0], str(run.folder), *verb[1:]]) == 0
    said = f"dgmbench: the sources of opened_parts have changed since run {run.folder} was trained"
    assert capsys.readouterr().err == f"{said}\n"


def test_a_run_with_the_sources_of_then_opens_without_a_word(run, package, capsys):
    write(package, LOSS)
    assert main(["export", str(run.folder), "--samples", "2"]) == 0
    assert capsys.readouterr().err == ""


def test_a_checkpoint_of_another_run_is_still_refused(run, capsys):
    (other,) = map(Run, run.folder.parent.glob("*-s1"))
    for path in other.checkpoints.glob("*.ckpt"):
        shutil.copy(path, run.checkpoints)
    assert main(["export", str(run.folder)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f" must come from run {run.id}, got one of run {other.id}")


@pytest.mark.parametrize(
    "change", [{"model": {"n_critic": 2}}, {"revision": 7}, {"seed": 5}], ids=str
)
def test_a_config_that_is_not_the_runs_is_still_refused(run, capsys, change):
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(run.config_path), change), run.config_path)
    assert main(["export", str(run.folder)]) == 2
    assert f", got one of run {run.id}" in capsys.readouterr().err
