"""A run's folder that came from elsewhere builds classes of ours and torch's only."""

import json
import os
import shutil
import stat

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from benchmarks.__main__ import main
from benchmarks.config.instantiate import check_trusted, check_trusted_config
from benchmarks.core.errors import UserError
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Evaluation, Record
from benchmarks.training.train import train
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
        "lit_models.training.distributed.os.system",
        "lit_models.training.distributed.threading.Thread",
        "lit_models.training.checkpoint_files.save_snapshot",
        "lit_models.images.centred",
        "benchmarks.core.files.write_atomically",
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
        ["model.generator.optimizer._target_=hydra.utils.call"],
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
    found = Record("toy/ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
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


def test_what_one_place_allows_is_not_taken_to_another(outputs, tmp_path, capsys):
    """A target that is a class of ours under one key, and a function under the trainer's."""
    found = Record("toy/ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
    node = "{_target_:'${...method}',src:/etc/hostname,dst:%s}" % (tmp_path / "copied")
    found.overrides = [
        "method=shutil.copyfile",
        "+per_dataset.gaussian_ring.method=torch.nn.Linear",
        f"+per_dataset.gaussian_ring.trainer={{strategy:{node}}}",
    ]
    found.write(tmp_path / "record.json")
    assert main(["reproduce", str(tmp_path / "record.json")]) == 2
    assert "must override settings that determine a run only" in capsys.readouterr().err
    assert not (tmp_path / "copied").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": None},
        {"overrides": [5]},
        {"cost": None},
        {"cost": [1]},
        {"versions": None},
        {"seed": "${oc.env:HOME}"},
        {"seed": None},
        {"evaluations": [{"protocol": 5}]},
        {"evaluations": [5]},
        {"evaluations": None},
        {"metrics": None},
        {"metrics": {"fid": "x"}},
        {"fingerprint": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("verb", ["reproduce", "compare"])
def test_records_that_hold_other_things_are_one_line(outputs, tmp_path, capsys, change, verb):
    found = Record("toy/ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
    found.evaluations = [Evaluation("modes_2500", "f" * 64, "last", "raw", 1, {"modes": 1.0})]
    values = json.loads(found.to_json())
    del values["digest"]
    inner = change.keys() & {"metrics", "fingerprint"}
    (values["evaluations"][0] if inner else values).update(change)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(values))
    assert main([verb, *[str(path)] * (1 + (verb == "compare"))]) == 2
    error = capsys.readouterr().err
    assert "not a record" in error
    assert len(error.strip().splitlines()) == 1
    path.write_text("[" * 200_000)
    assert main([verb, *[str(path)] * (1 + (verb == "compare"))]) == 2


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
