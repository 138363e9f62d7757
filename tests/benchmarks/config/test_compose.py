"""Precedence, identity without torch, and errors that name the key."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.config.compose import (
    compose,
    compose_for,
    compose_group,
    with_values,
)
from benchmarks.config.identity import canonical, config_hash, identity, run_id
from benchmarks.config.overrides import as_override, parse_overrides
from benchmarks.core.errors import UserError
from benchmarks.core.paths import CONFIGS

ROOT = Path(__file__).parents[3]
E = "experiment=lucic2018/wgan_gp"
NPZ, SHAPE = "datamodule=npz", "datamodule.image_shape=[1,28,28]"
NAMED = "datamodule.name=x", "datamodule.path=y"


def test_precedence_is_experiment_then_per_dataset_then_command_line():
    assert compose([E]).cfg.images_seen == 1_000_000  # from per_dataset
    assert compose([E]).cfg.model.n_critic == 5  # from the experiment
    given = compose([E, "images_seen=640", "model.n_critic=2"]).cfg
    assert (given.images_seen, given.model.n_critic) == (640, 2)


def test_experiment_inherits_and_overrides():
    cfg = compose(["experiment=lucic2018/wgan_gp_quick"]).cfg
    assert cfg.model.generator.network.width == 16
    assert cfg.model.penalty.epsilon == 1e-4
    assert cfg.row is None
    assert list(cfg.protocols) == ["fd_lenet_2k_test2k"]


def test_groups_can_be_exchanged():
    cfg = compose([E, "loss@model.loss=non_saturating", "trainer=cpu"]).cfg
    assert cfg.model.loss._target_.endswith("NonSaturatingLoss")


def test_values_of_lists_and_nulls():
    cfg = compose([E, "model.generator.optimizer.betas=[0.9,0.99]", "model.penalty=null"]).cfg
    assert list(cfg.model.generator.optimizer.betas) == [0.9, 0.99]
    assert cfg.model.penalty is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "experiment must be given"),
        (["experiment=lucic2018/wgan_pg"], "did you mean lucic2018/wgan_gp"),
        ([E, "datamodule=fashion_mnist_smal"], "did you mean fashion_mnist_small"),
        ([E, "model=gann"], "model 'gann' does not exist; did you mean gan"),
        (
            [E, "model.n_critics=5"],
            "model.n_critics is not a key of this experiment; did you mean",
        ),
        ([E, "model.n_critics=5"], "model.n_critic"),
        ([E, "images=5"], "images is not a key"),
        ([E, "=3"], "an override must be key=value, got =3"),
        ([E, "per_dataset=3"], "per_dataset must map data sets to settings, got 3"),
        ([E, "method=null"], "method must be a text, got None"),
        ([E, "row=3"], "row must be a text or null, got 3"),
        ([E, "seed=-1"], "seed must be an integer >= 0, got -1"),
        ([E, "seed=two"], "seed must be an integer >= 0, got two"),
        ([E, "threads=0"], "threads must be an integer >= 1, got 0"),
        ([E, "log_every_updates=abc"], "log_every_updates must be an integer >= 1, got abc"),
        ([E, "snapshot_every_images=0"], "snapshot_every_images must be an integer >= 1, got 0"),
        ([E, "images_seen=1.5"], "images_seen must be an integer >= 0, got 1.5"),
        ([E, "images_seen=1e-5"], "images_seen must be an integer >= 0, got 1e-05"),
        ([E, "images_seen=inf"], "images_seen must be a finite number, got inf"),
        ([E, "seed=nan"], "seed must be a finite number, got nan"),
        ([E, "~seed"], "seed must be given: "),
        ([E, "~protocols"], "'protocols'"),
        ([E, "~images_seen"], "'images_seen'"),
        (["experiment=[a,b]"], "experiment must be one name, got experiment=[a,b]"),
        ([E, "datamodule=[a,b]"], "datamodule must be one name, got datamodule=[a,b]"),
        (["experiment={a:b}"], "experiment must be one name, got experiment={a:b}"),
        ([E, NPZ, *NAMED], "datamodule.image_shape must be given: "),
        ([E, NPZ, *NAMED, SHAPE], "datamodule.num_classes must be given: "),
        ([E, "datamodule=digits"], "images_seen must be given"),
        ([E, "model.n_critic"], "model.n_critic"),
        ([E, "datamodule=gaussian_ring", "images_seen=64"], "image_shape"),
    ],
)
def test_mistakes_give_one_line(overrides, message):
    with pytest.raises(UserError) as error:
        compose(overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["images_seen", "seed", "threads"])
def test_a_whole_number_may_be_written_with_an_exponent(key):
    """It is the same run, whoever wrote it: the command line or an experiment."""
    one, other = compose([E, f"{key}=1e3"]), compose([E, f"{key}=1000"])
    assert isinstance(one.cfg[key], int)
    assert one.cfg == other.cfg
    assert run_id(one.cfg) == run_id(other.cfg)


def write_experiment(folder, text):
    (folder / "experiment").mkdir()
    header = "# @package _global_\ndefaults: [/experiment/lucic2018/vae, _self_]\n"
    (folder / "experiment" / "mine.yaml").write_text(header + text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_seen: 5\n", "experiment mine: unknown key image_seen; did you mean images_seen?"),
        (
            "per_dataset: {fashion_mnist_small: {modell: {kl_weight: 2}}}\n",
            "per_dataset.fashion_mnist_small of mine: Key 'modell' is not in struct",
        ),
        (
            "per_dataset: {fashion_mnist_small: {model: {kl_wait: 2}}}\n",
            "per_dataset.fashion_mnist_small of mine: Key 'kl_wait' is not in struct",
        ),
    ],
)
def test_misspelt_keys_inside_an_experiment(own_configs, text, message):
    write_experiment(own_configs, text)
    with pytest.raises(UserError) as error:
        compose(["experiment=mine"])
    assert message in str(error.value)


def test_a_misspelt_model_key_inside_an_experiment(own_configs, outputs):
    from benchmarks.training.train import train

    write_experiment(own_configs, "model: {kl_wait: 2.0}\n")
    with pytest.raises(
        UserError, match="model.kl_wait is no setting of VAE; did you mean kl_weig"
    ):
        train(compose(["experiment=mine"]), bar=False)


def test_your_own_configs_come_from_outside(own_configs):
    write_experiment(own_configs, "model: {kl_weight: 2.0}\n")
    composed = compose(["experiment=mine"])
    assert composed.cfg.model.kl_weight == 2.0
    assert composed.experiment == "mine"


# -- identity ------------------------------------------------------------------------------------


def test_canonical_values():
    assert canonical({"b": 1.0, "a": None, "c": [2.5, {"d": None}]}) == {"b": 1, "c": [2.5, {}]}


SAME = [
    ["trainer=ddp_cpu"],
    ["threads=2"],
    ["logger=wandb"],
    ["protocols=[]"],
    ["datamodule.fingerprint=null"],
    ["weights=ema"],
    ["log_every_updates=7"],
    ["model.penalty.weight=10"],
]
OTHER = [
    ["images_seen=64"],
    ["model.n_critic=1"],
    ["precision=64-true"],
    ["datamodule.validation_size=5"],
    ["snapshot_every_images=64"],
    ["model.generator.ema_decay=0.9"],
    ["loss@model.loss=non_saturating"],
]


@pytest.mark.parametrize("overrides", SAME, ids=str)
def test_what_does_not_enter_the_hash(overrides):
    assert config_hash(compose([E, *overrides]).cfg) == config_hash(compose([E]).cfg)


@pytest.mark.parametrize("overrides", OTHER, ids=str)
def test_what_enters_the_hash(overrides):
    assert config_hash(compose([E, *overrides]).cfg) != config_hash(compose([E]).cfg)


def test_revision_and_seed_stand_in_the_id():
    cfg = compose([E, "seed=3"]).cfg
    assert run_id(cfg) == f"{config_hash(cfg)}-r1-s3"
    assert "seed" not in identity(cfg)


def test_updates_give_the_ids_of_composition():
    """A plan composes once and updates; `train` composes everything: the same ids."""
    for values in (
        {"seed": 5},
        {"model.n_critic": 2},
        {"model.generator.optimizer.betas": [0.1, 0.2]},
    ):
        overrides = [f"{k}={v}".replace(" ", "") for k, v in values.items()]
        assert run_id(with_values(compose([E]).cfg, values)) == run_id(
            compose([E, *overrides]).cfg
        )


@pytest.mark.parametrize(
    "values",
    [
        {"model.n_critic": 2, "images_seen": 640},
        {"model.generator.optimizer": {"lr": 1e-05, "betas": [0.1, 0.2]}},
        {"model.penalty": None, "precision": "64-true", "datamodule.validation_size": 5},
        {"loss@model.loss": "hinge", "model.n_critic": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_what_a_row_sets_gives_the_ids_of_the_command_line(values, dataset):
    quick = compose_for("lucic2018/wgan_gp", dataset, values)
    given = [as_override(key, value) for key, value in values.items()]
    whole = compose([E, f"datamodule={dataset}", *given])
    assert run_id(quick.cfg) == run_id(whole.cfg)
    assert quick.overrides == whole.overrides
    assert run_id(quick.cfg) != run_id(compose_for("lucic2018/wgan_gp", dataset).cfg)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "plain",
            "a/b",
            "a b",
            "it's",
            "ünï",
            "null",
            "True",
            "1e3",
            "",
            "a\\",
            '"q\\"',
            "x,[y]=z",
        ),
        *(1, 1.5, 1e-05, True, None, [1, ["2", None]], {"_target_": "a.B", "c": [0.5, "d e"]}),
    ],
    ids=str,
)
def test_an_override_is_read_as_it_was_written(value):
    (read,) = parse_overrides([as_override("model.key", value)])
    assert (read.key_or_group, read.value()) == ("model.key", value)


def test_ids_need_no_torch():
    code = (
        "import sys; from benchmarks.tables.plan.plan import make_plan;"
        "from benchmarks.tables.spec import load_spec; make_plan(load_spec('quick'), 3);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_group_file_alone():
    cfg = compose_group("protocol", "fd_lenet_2k_test2k", ["num_samples=7"])
    assert cfg.num_samples == 7
    with pytest.raises(UserError, match="protocol 'fid' does not exist"):
        compose_group("protocol", "fid")


@pytest.mark.parametrize("name", ["a (copy)", "it's, here", "a=b #1", "ünï{x}"])
def test_folders_with_odd_names(name, tmp_path, monkeypatch):
    """The package itself may lie in such a folder, and so may the user's configs."""
    clone, mine = tmp_path / name / "configs", tmp_path / f"{name} mine"
    shutil.copytree(CONFIGS, clone)
    (mine / "protocol").mkdir(parents=True)
    text = (CONFIGS / "protocol/fid_10k_test10k.yaml").read_text()
    (mine / "protocol/mine.yaml").write_text(text.replace("10000", "500"))
    monkeypatch.setattr("benchmarks.config.catalogue.CONFIGS", clone)
    assert compose_group("protocol", "fid_10k_test10k").num_real == 10000
    monkeypatch.setenv("DGMBENCH_PATH", str(mine))
    assert compose_group("protocol", "mine").num_real == 500
    composed = compose([E])
    assert composed.cfg.model.n_critic == 5
