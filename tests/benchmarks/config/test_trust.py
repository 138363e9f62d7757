"""A run's folder that came from elsewhere: every verb refuses what it should not hold."""

import json
import shutil
import stat

import pytest
import yaml
from omegaconf import OmegaConf

from benchmarks.__main__ import main
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from tests.helpers import METHODS, tiny_run


@pytest.mark.parametrize("target", ["os.system", "${method}"])
def test_evaluate_and_pictures_refuse_such_a_run(outputs, capsys, target):
    composed = tiny_run(METHODS["pixel_cnn"])
    train(composed, bar=False)
    run = Run.of(composed)
    cfg = OmegaConf.load(run.config_path)
    cfg.method, cfg.model.network._target_ = "os.system", target
    OmegaConf.save(cfg, run.config_path)
    for verb in (["evaluate", str(run.folder), "protocol=bits_per_dim_test"],
                 ["pictures", str(run.folder)]):  # fmt: skip
        assert main(verb) == 2
        assert "model.network._target_ must be a class of" in capsys.readouterr().err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder, to be copied and changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DGMBENCH_OUTPUTS", str(tmp_path_factory.mktemp("finished")))
        composed = tiny_run("toy/ns_gan")
        train(composed, bar=False)
        return Run.of(composed).folder


@pytest.mark.parametrize(
    "change",
    [
        *({key: "~"} for key in ("threads", "weights", "precision", "revision", "seed")),
        {"threads": 0},
        {"threads": "abc"},
        {"seed": 10**400},
        {"protocols": 5},
        {"protocols": [5]},
        {"model": {"a": 1}},
        {"row": "${row}"},
        {"weights": "${oc.env:HOME}"},
        {7: 8},
    ],
    ids=str,
)
def test_configs_of_runs_that_hold_other_things_are_one_line(
    finished, outputs, tmp_path, capsys, change
):
    folder = tmp_path / "0123456789-r1-s0"
    shutil.copytree(finished, folder)
    values = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    values |= change
    kept = {k: v for k, v in values.items() if v != "~"}
    (folder / "config.yaml").write_text(yaml.safe_dump(kept))
    for verb in (["evaluate", str(folder), "protocol=modes_2500"], ["export", str(folder)]):
        code = main(verb)
        error = capsys.readouterr().err
        if 7 not in change:  # a stray key is nobody's
            assert code == 2
            assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("part", ["checkpoints", "export", "logs"])
def test_a_runs_folder_with_links_touches_nothing_outside(
    finished, outputs, tmp_path, capsys, part
):
    folder, victim = tmp_path / "0123456789-r1-s0", tmp_path / "victim"
    shutil.copytree(finished, folder)
    victim.mkdir()
    (victim / "a.part").write_text("x")
    (victim / "config.json").write_text("x")
    shutil.rmtree(folder / part, ignore_errors=True)
    (folder / part).symlink_to(victim)
    for verb in (["evaluate", str(folder), "protocol=modes_2500"], ["export", str(folder)]):
        assert main(verb) == 2
        assert f"{folder / part} must be the run's own, got a link" in capsys.readouterr().err
    assert {p.name: p.read_text() for p in victim.iterdir()} == {"a.part": "x", "config.json": "x"}


def test_files_follow_the_umask_and_hold_no_secret(outputs, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    composed = tiny_run(METHODS["vae"], ["logger=csv"])
    composed.cfg.method = "key 0123456789abcdef"
    train(composed, bar=False)
    folder = Run.of(composed).folder
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o644), path
        if path.is_file():
            assert b"0123456789abcdef" not in path.read_bytes(), path
    assert json.loads((folder / "record.json").read_text())["method"] == "key [redacted]"
