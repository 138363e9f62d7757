"""What there is and where: the user's folders come beside it, and go when a command ends."""

import os

import pytest

from benchmarks.__main__ import VERBS, main
from benchmarks.config.catalogue import INCEPTION, Catalogue, catalogue, names, searching
from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError
from benchmarks.core.paths import CONFIGS

ARGUMENTS = {"queue": ["quick", "--hours", "1"], "compare": ["a", "b"], "list": [], "doctor": []}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders of a user's own, `one` before `other`; both have a loss `mine`."""
    monkeypatch.delenv("DGMBENCH_PATH", raising=False)
    for name in ("one", "other"):
        (tmp_path / name / "loss" / "deeper").mkdir(parents=True)
        (tmp_path / name / "loss" / "mine.yaml").write_text(f"# of {name}\n")
        (tmp_path / name / "loss" / "deeper" / f"of_{name}.yaml").write_text("")
    return tmp_path / "one", tmp_path / "other"


def test_without_own_folders_there_is_the_suite(monkeypatch):
    monkeypatch.delenv("DGMBENCH_PATH", raising=False)
    assert catalogue() == Catalogue()
    assert catalogue().folders == (CONFIGS,)
    assert names("loss") == sorted(p.stem for p in (CONFIGS / "loss").glob("*.yaml"))
    assert INCEPTION in names("extractor")


def test_names_are_of_all_folders_once_and_sorted(folders):
    found = Catalogue(folders).names("loss")
    assert found == sorted(found)
    assert found.count("mine") == 1
    assert {"deeper/of_one", "deeper/of_other", "hinge"} <= set(found)
    assert Catalogue(folders).names("no_such_group") == []


def test_the_first_folder_that_has_a_file_gives_it(folders):
    one, other = folders
    assert Catalogue((one, other)).file("loss", "mine") == one / "loss" / "mine.yaml"
    assert Catalogue((other, one)).file("loss", "mine") == other / "loss" / "mine.yaml"
    assert Catalogue((one, other)).folder_of("loss", "deeper/of_other") == other
    assert Catalogue((one, other)).folder_of("loss", "hinge") == CONFIGS


def test_a_file_of_ones_own_must_not_have_the_name_of_one_of_the_suites(folders, monkeypatch):
    (folders[0] / "published.yaml").write_text("")
    Catalogue(folders).check()
    (folders[0] / "loss" / "hinge.yaml").write_text("")
    with pytest.raises(UserError, match=r"hinge.yaml must have another name: loss/hinge is one"):
        Catalogue(folders).check()
    monkeypatch.setenv("DGMBENCH_PATH", str(folders[0]))
    with pytest.raises(UserError, match="hinge.yaml must have another name"):
        compose_group("loss", "minimax")


def test_what_does_not_exist_is_named_with_the_nearest(folders):
    with pytest.raises(UserError, match="loss 'hinges' does not exist; did you mean hinge"):
        Catalogue(folders).file("loss", "hinges")
    with pytest.raises(UserError, match="loss 'min' does not exist; did you mean mine"):
        Catalogue(folders).folder_of("loss", "min")
    (folders[0] / "loss" / "folder.yaml").mkdir()
    with pytest.raises(UserError, match="loss 'folder' does not exist"):
        Catalogue(folders).file("loss", "folder")


def test_a_group_is_a_folder_anywhere(folders):
    (folders[1] / "my_group").mkdir()
    assert Catalogue(folders).is_group("my_group")
    assert not Catalogue(folders[:1]).is_group("my_group")
    assert Catalogue().is_group("model")
    assert not Catalogue().is_group("seed")


def test_the_variable_names_folders_in_their_order(folders, monkeypatch):
    monkeypatch.setenv("DGMBENCH_PATH", os.pathsep.join(["", *map(str, folders), ""]))
    assert catalogue().own == folders
    monkeypatch.setenv("HOME", str(folders[0].parent))
    monkeypatch.setenv("DGMBENCH_PATH", "~/other")
    assert catalogue().own == folders[1:]


def test_a_variable_that_names_no_folder_is_one_line(folders, monkeypatch, capsys):
    path = folders[0] / "loss" / "mine.yaml"
    monkeypatch.setenv("DGMBENCH_PATH", os.pathsep.join([str(folders[0]), str(path)]))
    assert main(["list", "losses"]) == 2
    assert capsys.readouterr().err == f"dgmbench: DGMBENCH_PATH must be a folder, got {path}\n"


def test_folders_of_a_command_come_first_and_go_with_it(folders, monkeypatch):
    one, other = folders
    with searching([str(other)]):
        assert catalogue().own == (other,)
        with searching([str(one), str(other)]):
            assert catalogue().own == (one, other)  # each once
            assert os.environ["DGMBENCH_PATH"] == os.pathsep.join(map(str, folders))
        assert catalogue().own == (other,)
    assert "DGMBENCH_PATH" not in os.environ
    monkeypatch.setenv("DGMBENCH_PATH", str(one))
    with searching([]):
        assert catalogue().own == (one,)


def test_they_go_after_a_fault_too(folders, monkeypatch):
    monkeypatch.setenv("DGMBENCH_PATH", str(folders[0]))
    with pytest.raises(UserError), searching([str(folders[1])]):
        catalogue().file("loss", "nothing")
    assert os.environ["DGMBENCH_PATH"] == str(folders[0])
    with pytest.raises(UserError, match="--config-dir must be a folder, got "), searching(["no"]):
        pass
    assert os.environ["DGMBENCH_PATH"] == str(folders[0])


def test_relative_folders_hold_in_other_working_directories(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with searching(["one"]):
        monkeypatch.chdir("/")
        assert catalogue().own == folders[:1]


@pytest.mark.parametrize("named", ["mine", "mine/configs"])
def test_a_package_lies_beside_its_configs(named, tmp_path, monkeypatch):
    """Either folder may be named; what a process leaves to others has whole paths."""
    loss = tmp_path / "mine" / "configs" / "loss"
    loss.mkdir(parents=True)
    (loss / "of_a_package.yaml").write_text("_target_: beside_the_configs.Mine\n")
    (tmp_path / "mine" / "beside_the_configs.py").write_text("class Mine: pass\n")
    monkeypatch.delenv("DGMBENCH_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    with searching([named]):
        monkeypatch.chdir("/")
        assert os.environ["DGMBENCH_PATH"] == str(tmp_path / "mine" / "configs")
        assert catalogue().packages == (tmp_path / "mine",)
        made = instantiate(compose_group("loss", "of_a_package"), "loss")
    assert type(made).__module__ == "beside_the_configs"


def test_configs_elsewhere_bring_no_packages(folders):
    assert Catalogue(folders).packages == ()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_a_folder_and_refuses_a_name_of_the_suites(verb, folders, capsys):
    (folders[0] / "table").mkdir()
    (folders[0] / "table" / "quick.yaml").write_text("")
    given = ARGUMENTS.get(verb, ["quick"])
    assert main([verb, *given, "--config-dir", str(folders[0])]) == 2
    said = capsys.readouterr().err
    assert "table/quick.yaml must have another name: table/quick is one of" in said
