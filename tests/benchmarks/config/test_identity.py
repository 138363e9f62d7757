"""Identities: what enters them, and what does not."""

import re
import tomllib
from importlib.metadata import packages_distributions

import pytest
from omegaconf import OmegaConf

from benchmarks.__main__ import main
from benchmarks.config import identity
from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose, compose_group
from benchmarks.config.identity import (
    LIBRARIES,
    canonical,
    check_unique_names,
    fingerprint,
    run_id,
    sources_hash,
    without_seed,
)
from benchmarks.core.errors import UserError
from benchmarks.core.paths import ROOT


@pytest.fixture(autouse=True)
def _sources_not_yet_read():
    sources_hash.cache_clear()
    yield
    sources_hash.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a user's own."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "my_parts"
    folder.mkdir()
    (folder / "losses.py").write_text("class MyLoss: pass\n")
    return folder


def test_nulls_order_and_whole_floats_do_not_matter():
    assert canonical({"b": 1.0, "a": None, "c": [2.5, (3.0,)]}) == {"b": 1, "c": [2.5, [3]]}
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2.0, "a": 1, "c": None})


def test_a_class_of_the_suite_enters_by_its_name_wherever_it_stands():
    one = {"_target_": "lit_models.adversarial.losses.HingeLoss"}
    assert fingerprint(one) == fingerprint({"_target_": "lit_models.elsewhere.HingeLoss"})
    assert fingerprint(one) != fingerprint({"_target_": "lit_models.elsewhere.Hinge"})
    assert canonical(one) == {"_target_": "HingeLoss"}


def test_a_librarys_class_enters_by_its_path():
    for target in ("torch.optim.Adam", "torch.nn.Tanh", "no_such_package.Loss"):
        assert canonical({"_target_": target}) == {"_target_": target}


def test_a_class_without_its_path_is_named_with_its_key(outputs, capsys):
    with pytest.raises(UserError, match=r"^a\[1\]\._target_ must name a class with the path "):
        canonical({"a": [1, {"_target_": "MyLoss"}]})
    assert main(["train", "experiment=toy/ns_gan", "model.loss._target_=MyLoss"]) == 2
    assert capsys.readouterr().err == (
        "dgmbench: model.loss._target_ must name a class with the path to it, such as "
        "torch.nn.Tanh, got MyLoss\n"
    )


def test_an_own_class_enters_with_its_sources(package):
    node = {"_target_": "my_parts.losses.MyLoss"}
    before = canonical(node)
    assert before["_target_"] == "my_parts.losses.MyLoss"
    assert len(before["_sources_"]) == 64
    (package / "losses.py").write_text("class MyLoss: weight = 2\n")
    sources_hash.cache_clear()
    assert canonical(node) != before  # an edited loss is another run


def test_a_single_file_is_a_package_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_single_part.py").write_text("class MyLoss: pass\n")
    assert "_sources_" in canonical({"_target_": "my_single_part.MyLoss"})


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("site-packages", "my_library"),  # of another Python, by PYTHONPATH or `module load`
        ("dist-packages", "my_library"),
        ("libraries", "zuko"),  # `pip install --target`
    ],
)
def test_a_library_is_one_wherever_it_lies(tmp_path, monkeypatch, folder, package):
    (tmp_path / folder / package).mkdir(parents=True)
    (tmp_path / folder / package / "__init__.py").write_text("class Loss: pass\n")
    monkeypatch.syspath_prepend(tmp_path / folder)
    assert canonical({"_target_": f"{package}.Loss"}) == {"_target_": f"{package}.Loss"}


def test_every_dependency_is_known_as_a_library():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {_plain_name(re.split(r"[^\w-]", d)[0]) for d in project["dependencies"]}
    found = {
        _plain_name(distribution)
        for package, distributions in packages_distributions().items()
        for distribution in distributions
        if package in LIBRARIES
    }
    assert needed <= found


def _plain_name(distribution):
    return distribution.lower().replace("_", "-")


def test_class_names_are_unique_over_the_suite():
    check_unique_names()


def test_two_classes_of_one_name_are_named(tmp_path):
    for package in identity.SUITE:
        (tmp_path / package).mkdir()
    (tmp_path / "lit_models" / "one.py").write_text("class Twin: pass\n")
    (tmp_path / "lit_models" / "other.py").write_text("class Twin: pass\nclass _Own: pass\n")
    (tmp_path / "datamodules" / "own.py").write_text("class _Own: pass\n")
    with pytest.raises(ValueError, match=r"got Twin in lit_models/one.py and lit_models/other.py"):
        check_unique_names(tmp_path)


def test_what_speeds_a_run_up_or_says_where_data_lie_is_not_of_its_identity():
    plain = run_id(compose(["experiment=lucic2018/ns_gan_quick"]).cfg)
    for override in ("threads=2", "compile=true", "logger=wandb", "datamodule.fingerprint=null"):
        assert run_id(compose(["experiment=lucic2018/ns_gan_quick", override]).cfg) == plain
    other = run_id(compose(["experiment=lucic2018/ns_gan_quick", "seed=3"]).cfg)
    assert other != plain
    assert without_seed(other) == without_seed(plain)


def test_no_two_protocols_share_a_fingerprint():
    marks = [
        identity.protocol_fingerprint(compose_group("protocol", n)) for n in names("protocol")
    ]
    assert len(set(marks)) == len(marks)


def test_images_are_known_by_split_and_data_not_by_where_they_lie():
    data = compose_group("datamodule", "mnist")
    moved = OmegaConf.merge(data, {"root": "/elsewhere"})
    assert identity.images_run_id("test", data) == identity.images_run_id("test", moved)
    assert identity.images_run_id("test", data) != identity.images_run_id("train", data)
