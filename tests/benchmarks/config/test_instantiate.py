"""From config nodes to objects: errors name the key; foreign files build classes of ours only."""

import pytest
from omegaconf import OmegaConf

from benchmarks.config.instantiate import check_trusted, check_trusted_config
from benchmarks.core.errors import UserError


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
        "lit_models.nothing",
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
