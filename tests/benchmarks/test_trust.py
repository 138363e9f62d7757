"""A run's folder that came from elsewhere builds classes of ours and torch's only."""

import json
import os
import stat

import numpy as np
import pytest
from omegaconf import OmegaConf

from benchmarks.__main__ import main
from benchmarks.errors import UserError
from benchmarks.instantiate import check_trusted, check_trusted_config
from benchmarks.records import Record
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


OPENS_A_PICKLE = [
    "model.loss._target_=numpy.load",
    "+model.loss.file={pickle}",
    "+model.loss.allow_pickle=true",
]


@pytest.mark.parametrize(
    "overrides",
    [
        OPENS_A_PICKLE,
        ["model.loss._target_=pathlib.Path.unlink", "+model.loss.self={victim}"],
        ["model.loss={{_target_:urllib.request.urlopen,url:'http://127.0.0.1:1'}}"],
        ["datamodule={{_target_:os.system,command:'touch {pickle}.ran'}}"],
        ["model.optimizer_g._target_=hydra.utils.call"],
        ["+track.evil={{_target_:os.remove,path:{victim}}}"],
        ["hydra.searchpath=[file://{folder}]"],
        ["+hydra.run.dir={folder}"],
        ["model.batch_size=${{oc.env:SOME_SECRET}}"],
        ["images_seen=${{oc.decode:7}}"],
        ["+loss@evil.loss=hinge"],
        ["model.batch_size=${{oc.${{method}}:SOME_SECRET}}"],
        ["model.batch_size=${{oc.env:SOME_SECRET,${{oc.env:HOME}}}}"],
    ],
    ids=lambda overrides: overrides[0].split("=")[0],
)
@pytest.mark.parametrize("digest", ["right", "none"])
def test_reproduce_runs_nothing_that_a_record_names(
    outputs, tmp_path, capsys, monkeypatch, overrides, digest
):
    """A digest that fits says nothing: anyone can compute it."""
    monkeypatch.setenv("SOME_SECRET", "7")
    victim, loaded = tmp_path / "victim", tmp_path / "loaded.npy"
    victim.write_text("x")
    np.save(loaded, np.array([Burglar(tmp_path)], dtype=object), allow_pickle=True)
    places = {"pickle": loaded, "victim": victim, "folder": tmp_path}
    found = Record("toy_ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
    found.overrides = [o.format(**places) for o in overrides]
    text = json.loads(found.to_json())
    if digest == "none":
        del text["digest"]
    (tmp_path / "record.json").write_text(json.dumps(text))
    assert main(["reproduce", str(tmp_path / "record.json")]) == 2
    shown = capsys.readouterr()
    assert ("has no digest" in shown.out) == (digest == "none")
    assert len(shown.err.strip().splitlines()) == 1
    assert victim.exists()
    assert not (tmp_path / "burgled").exists()
    assert not list(tmp_path.glob("*.ran"))


class Burglar:
    """What a pickle does when it is opened."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (os.path.join(self.folder, "burgled"),)  # noqa: PTH118


def test_the_pickle_of_the_test_above_would_act(tmp_path):
    np.save(tmp_path / "x.npy", np.array([Burglar(tmp_path)], dtype=object), allow_pickle=True)
    np.load(tmp_path / "x.npy", allow_pickle=True)
    assert (tmp_path / "burgled").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"loss": {"weight": "${oc.env:HOME}"}}}, "model.loss.weight must look up keys"),
        ({"datamodule": {"root": "${oc.env:HOME}"}}, "datamodule.root must look up keys"),
        ({"deviations": ["${oc.env:HOME}"]}, r"deviations\[0\] must look up keys"),
        ({"track": {"x": {"_target_": "os.system"}}}, "track.x._target_ must be a class of"),
        ({"datamodule": {"b": "${oc.${method}:HOME}"}}, "datamodule.b must look up keys"),
        ({"datamodule": {"b": "${number:${oc.env:HOME}}"}}, "datamodule.b must look up keys"),
        (
            {"trainer": {"x": "${oc.env:HOME}"}, "datamodule": {"b": "${trainer.x}"}},
            "trainer.x must look up keys",
        ),
        ({"model": "${model}"}, "must be a run's config, which has a model"),
        ({"model": None}, "must be a run's config, which has a model"),
    ],
)
def test_configs_from_elsewhere_look_up_nothing(change, message):
    cfg = OmegaConf.create({"model": {"a": 1}, "datamodule": {"b": "${model.a}"}})
    check_trusted_config(cfg, "config.yaml")
    for key, value in change.items():
        cfg[key] = value
    with pytest.raises(UserError, match=message):
        check_trusted_config(cfg, "config.yaml")


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
