"""From config nodes to objects: errors name the key; foreign files build classes of ours only."""

import pytest
from omegaconf import OmegaConf

from benchmarks.config.instantiate import check_trusted, check_trusted_config, instantiate
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
    with pytest.raises(UserError, match="DGMBENCH_TRUST=foreign, if"):
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


# -- objects of nodes ----------------------------------------------------------------------------

PARTS = """
from pathlib import Path


class Part:
    def __init__(self, width, inner=None, shape=(), rate=0.1):
        if width < 1:
            raise ValueError(f"width must be >= 1,\\n    got {width}")
        self.width, self.inner, self.shape, self.rate = width, inner, shape, rate


class Open:
    def __init__(self, **settings):
        self.settings = settings


class Broken:
    def __init__(self):
        raise OSError("no such file")
"""


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Return a function that makes the node of a class of a package of a user's own."""
    for name in ("instantiated_parts", "instantiated_parts_of_others"):
        (tmp_path / f"{name}.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)

    def node(name="Part", **settings):
        return OmegaConf.create({"_target_": f"instantiated_parts.{name}", **settings})

    return node


def test_arguments_are_plain_and_resolved(parts):
    node = parts(width=2, shape=[1, "${width}"], inner=parts(width=3, shape={"a": [1]}))
    built = instantiate(node, "model", rate=0.5)
    assert (built.width, built.rate, built.shape) == (2, 0.5, [1, 2])
    assert type(built.shape) is list
    assert (built.inner.width, built.inner.shape) == (3, {"a": [1]})
    assert type(built.inner.shape) is dict


def test_a_partial_node_is_built_later(parts):
    make = instantiate(parts(_partial_=True, rate=1.0), "model")
    assert make(width=4).width == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": "???"}, "model.width must be given"),
        ({"width": 1, "inner": {"a": "???"}}, "model.inner.a must be given"),
        ({"widht": 1}, "model.widht is no setting of Part; did you mean width?"),
        ({"width": 1, "other": 2}, "model.other is no setting of Part; known: inner, rate, shape"),
        ({"width": 0}, "model: width must be >= 1, got 0"),
        ({}, "missing 1 required positional argument: 'width'"),
        (
            {"width": 1, "inner": {"_target_": "instantiated_parts.Part", "rates": 1}},
            "model.inner.rates is no setting of Part; did you mean rate?",
        ),
        (
            {"width": 1, "shape": [{"_target_": "no_such_package.Part"}]},
            "model.shape[0]._target_ must name an importable class, got no_such_package.Part: ",
        ),
        (
            {"width": 1, "inner": {"_target_": "instantiated_parts.Nothing"}},
            "model.inner._target_ must name an importable class, got instantiated_parts.Nothing",
        ),
    ],
)
def test_mistakes_name_the_key_in_one_line(parts, settings, message):
    with pytest.raises(UserError) as error:
        instantiate(parts(**settings), "model")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_that_passes_arguments_on_takes_any(parts):
    assert instantiate(parts("Open", anything=1), "model").settings == {"anything": 1}


def test_other_faults_of_a_class_are_one_line_too(parts):
    with pytest.raises(UserError, match="^data: no such file$"):
        instantiate(parts("Broken"), "data")


def test_a_trusted_package_holds_classes_only(parts, monkeypatch):
    """Neither what it imports from elsewhere, nor a package whose name only begins alike."""
    monkeypatch.setenv("DGMBENCH_TRUST", "instantiated_parts")
    check_trusted({"_target_": "instantiated_parts.Part"}, "model")
    for target in ("instantiated_parts.Path", "instantiated_parts_of_others.Part"):
        with pytest.raises(UserError, match="torch.optim, instantiated_parts .others by"):
            check_trusted({"_target_": target}, "model")


def test_what_a_class_leaves_out_of_its_contract_is_named(tmp_path, monkeypatch):
    """A model, a loss and a data set of a user's own that lack a method."""
    (tmp_path / "unfinished_parts.py").write_text(
        "from datamodules.base import ImageDataModule\n"
        "from lit_models.adversarial.losses import AdversarialLoss\n"
        "from lit_models.base import LitGenerativeModel\n"
        "class Data(ImageDataModule): pass\n"
        "class Loss(AdversarialLoss): pass\n"
        "class Model(LitGenerativeModel): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name, missing in (
        ("Data", "load"),
        ("Loss", "discriminator_loss, generator_loss"),
        ("Model", "train_step"),
    ):
        node = OmegaConf.create({"_target_": f"unfinished_parts.{name}"})
        with pytest.raises(UserError, match=f"^model: {name} must implement {missing}$"):
            instantiate(node, "model")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "not_here.Model",
            "no package not_here lies in the current folder, or beside",
        ),
        ("datamodules.of_mine.Data", "packages of your own must have another name"),
    ],
)
def test_what_is_not_found_says_where_it_is_looked_for(target, message, monkeypatch, capfd):
    monkeypatch.setenv("DGMBENCH_TRUST", "not_here")
    node = OmegaConf.create({"_target_": target})
    with pytest.raises(UserError, match=message):
        instantiate(node, "model")
    if target.startswith("not_here"):  # trusted, but not there
        with pytest.raises(UserError, match=message):
            check_trusted({"_target_": target}, "model")
    assert capfd.readouterr().err == ""
