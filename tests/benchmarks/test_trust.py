"""A run's folder that came from elsewhere builds classes of ours and torch's only."""

import json
import stat

import pytest
from omegaconf import OmegaConf

from benchmarks.__main__ import main
from benchmarks.errors import UserError
from benchmarks.instantiate import check_trusted
from benchmarks.runs import Run
from benchmarks.train import train
from tests.helpers import METHODS, tiny_run


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "hydra.utils.call",
        "torch.load",
        "torch.nn.modules.module.torch.load",
        "lit_models.distributed.os.system",
        "lit_models.distributed.threading.Thread",
        "lit_models.callbacks.checkpoints.save_snapshot",
        "lit_models.nothing",
        "benchmarks.records.write_atomically",
        "lit_models_of_mine.Model",
    ],
)
def test_other_targets_are_refused(target):
    node = {"a": [{"_target_": "lit_models.images.UnitRange"}, {"_target_": target}]}
    with pytest.raises(UserError, match=r"model.a\[1\]._target_ must be a class of lit_models, "):
        check_trusted(node, "model")


def test_nothing_refused_is_imported(tmp_path, monkeypatch):
    (tmp_path / "foreign.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="DGMBENCH_TRUST=package"):
        check_trusted({"_target_": "foreign.Model"}, "model")


def test_a_package_can_be_trusted(tmp_path, monkeypatch):
    (tmp_path / "trusted_parts.py").write_text("class Model: pass")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DGMBENCH_TRUST", "other,trusted_parts")
    check_trusted({"_target_": "trusted_parts.Model"}, "model")


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
