"""What an earlier version has written is read, scored, exported, continued, or refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.config import migration
from benchmarks.config.compose import compose, compose_group
from benchmarks.config.identity import (
    LENGTH,
    determining_of,
    fingerprint,
    hash_of,
    protocol_fingerprint,
    run_id,
    sources_hash,
)
from benchmarks.config.instantiate import instantiate
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record, read_record
from benchmarks.training.reproduce import _repeated

HERE = Path(__file__).parent / "schema_1"
RECORDS = sorted((HERE / "records").glob("*.json"))
TRAINED = [p for p in RECORDS if not p.name.startswith("images")]
(OLD_RUN,) = HERE.glob("toy_ns_gan/gaussian_ring/*")


def values_of(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize("path", TRAINED, ids=lambda p: p.name)
def test_a_record_has_the_id_that_its_experiment_composes_to_today(path):
    """The records are of every family, of a search, and with the players' former keys."""
    record, old = read_record(path), values_of(path)
    given = [f"experiment={record.experiment}", f"datamodule={record.dataset}"]
    given += [f"seed={record.seed}", *_repeated(record.overrides, str(path))]
    assert run_id(compose(given).cfg) == record.run_id
    assert record.migrated_from == old["run_id"] != record.run_id
    assert record.schema_version == 2


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.name)
def test_its_scores_are_those_of_todays_protocols(path):
    record, old = read_record(path), values_of(path)
    for mine, theirs in zip(record.evaluations, old["evaluations"], strict=True):
        cfg = compose_group("protocol", mine.protocol)
        assert mine.fingerprint == protocol_fingerprint(cfg) != theirs["fingerprint"]
        assert mine.metrics == theirs["metrics"]


def test_overrides_and_deviations_name_todays_keys():
    (path,) = (p for p in TRAINED if "2ea1f1efde" in p.name)
    record = read_record(path)
    assert "experiment=lucic2018/ns_gan_quick" in record.overrides
    said = " ".join([*record.overrides, *record.deviations])
    assert "optimizer_g" in path.read_text()
    assert "optimizer_g" not in said
    assert "model.generator.optimizer.lr=" in said


def test_images_of_a_split_are_known_by_their_data():
    (path,) = (p for p in RECORDS if p.name.startswith("images"))
    record = read_record(path)
    assert record.run_id != record.migrated_from == values_of(path)["run_id"]


def changed(path, change):
    """A record whose values were changed, as an earlier version would have written them."""
    values = values_of(path)
    values.pop("digest", None)
    change(values)
    return Record.from_json(json.dumps(values))


def test_what_was_stale_stays_so():
    """A config that is not that of the id, and a protocol that is another one today."""
    edited = changed(TRAINED[0], lambda v: v["config"].update(images_seen=5))
    assert edited.run_id == edited.migrated_from
    other = changed(TRAINED[0], lambda v: v["evaluations"][0].update(fingerprint="f" * 64))
    assert other.evaluations[0].fingerprint == "f" * 64


def with_an_own_loss(values):
    """Change a record of schema 1 into one of a run whose loss is of a user's own package."""
    values["config"]["model"]["loss"] = {"_target_": "my_old_parts.MyLoss"}
    hashed = hash_of(migration._plain(determining_of(values["config"])))[:LENGTH]
    values["run_id"] = f"{hashed}-r1-s{values['seed']}"


def test_a_run_of_an_own_class_is_stale_whatever_its_sources_are(tmp_path, monkeypatch):
    """Schema 1 recorded none, so that nobody knows which ones it was trained with."""
    (path,) = (p for p in TRAINED if "2ea1f1efde" in p.name)
    monkeypatch.syspath_prepend(tmp_path)
    found, current = set(), set()
    for text in ("class MyLoss: pass", "class MyLoss: weight = 2", None):
        part = tmp_path / "my_old_parts.py"
        part.unlink() if text is None else part.write_text(text)
        sources_hash.cache_clear()
        record = changed(path, with_an_own_loss)
        found.add(record.run_id)
        today = fingerprint(determining_of(record.config))[:LENGTH]
        current |= {record.migrated_from, f"{today}-r1-s{record.seed}"}
    sources_hash.cache_clear()
    assert len(found) == 1
    assert len(current) == 4  # its old id, two of sources, and one without any
    assert not found & current


def test_a_score_under_an_own_protocol_is_stale_whatever_its_sources_are(own_configs):
    text = "{_target_: my_old_parts.MyProtocol, num_samples: 5}"
    (own_configs / "protocol").mkdir()
    (own_configs / "protocol" / "mine.yaml").write_text(text)
    migration._protocol_marks.cache_clear()
    own = protocol_fingerprint(compose_group("protocol", "mine"))
    assert own not in migration._protocol_marks().values()
    migration._protocol_marks.cache_clear()


def test_every_class_of_the_table_is_there():
    for module in migration.MODULES.values():
        assert (Path(migration.__file__).parents[2] / f"{module.replace('.', '/')}.py").is_file()
    for target in migration.RENAMED.values():
        module, _, name = target.rpartition(".")
        assert (
            f"class {name}"
            in (Path(migration.__file__).parents[2] / f"{module.replace('.', '/')}.py").read_text()
        )


def test_todays_configs_are_left_as_they_are():
    values = {"model": {"_target_": "lit_models.adversarial.gan.GAN", "generator": {"a": 1}}}
    assert migration.migrated_config(values) == values


# -- folders of runs -----------------------------------------------------------------------------


@pytest.fixture
def old(outputs):
    """The folder of a run of schema 1, which kept snapshots and averaged weights."""
    target = outputs / OLD_RUN.relative_to(HERE)
    shutil.copytree(OLD_RUN, target)
    return target


def test_an_old_folder_is_evaluated_exported_and_drawn(old, capsys):
    before = values_of(old / "record.json")["evaluations"]
    modes = next(e["metrics"] for e in before if e["checkpoint"] == "last")
    assert main(["evaluate", str(old), "protocol=modes_2500"]) == 0
    record = read_record(old / "record.json")
    found = next(e for e in record.evaluations if e.checkpoint == "last")
    assert found.metrics == pytest.approx(modes)
    assert record.migrated_from == old.name
    for checkpoint in ("1280", "last"):
        assert main(["evaluate", str(old), "protocol=modes_2500", f"checkpoint={checkpoint}"]) == 0
    assert main(["evaluate", str(old), "protocol=modes_2500", "weights=ema"]) == 0
    assert main(["export", str(old), "--samples", "8"]) == 0
    config = json.loads((old / "export" / "config.json").read_text())
    from omegaconf import OmegaConf

    assert instantiate(OmegaConf.create(config["model"]), "model").n_critic == 1
    assert main(["pictures", str(old)]) == 0


def arguments_of(record):
    given = [o for o in record.overrides if not o.startswith(("experiment=", "protocols="))]
    return ["train", "--no-bar", f"experiment={record.experiment}", *given]


def test_an_old_run_is_not_begun_anew_and_goes_on_once_it_is_brought_over(old, outputs, capsys):
    values = values_of(old / "record.json")
    values.pop("digest")
    values |= {"status": "interrupted", "reason": "stopped by SIGTERM", "evaluations": []}
    (old / "record.json").write_text(json.dumps(values))
    (old / "checkpoints" / "2560.ckpt").unlink()
    train = [*arguments_of(read_record(old / "record.json")), "protocols=[]"]
    assert main(train) == 2
    said = capsys.readouterr().err
    assert "was begun by an earlier version: `dgmbench migrate " in said
    assert len(said.strip().splitlines()) == 1

    assert main(["migrate", str(outputs)]) == 0
    assert "0 published record(s) and 1 run(s) brought over" in capsys.readouterr().out
    assert main(train) == 0
    assert "finished" in capsys.readouterr().out
    (run,) = map(Run, outputs.glob("toy_ns_gan/gaussian_ring/*"))
    assert run.record().counters["images_seen"] == 2560
    assert run.record().migrated_from == old.name
    assert main(["migrate", str(outputs)]) == 0
    assert "0 run(s) brought over" in capsys.readouterr().out


def test_a_run_that_was_evaluated_anew_is_still_brought_over(old, outputs, capsys):
    """Its record is of today then; its folder, by which `train` finds it, is not."""
    assert main(["evaluate", str(old), "protocol=modes_2500"]) == 0
    assert values_of(old / "record.json")["schema_version"] == 2
    train = [*arguments_of(read_record(old / "record.json")), "protocols=[modes_2500]"]
    assert main(train) == 2
    assert "`dgmbench migrate " in capsys.readouterr().err
    assert main(["migrate", str(outputs)]) == 0
    assert "1 run(s) brought over" in capsys.readouterr().out
    assert main(train) == 0
    assert "finished before; nothing to do" in capsys.readouterr().out


def test_what_was_cut_before_the_folder_had_its_name_is_finished(
    old, outputs, capsys, monkeypatch
):
    replace = Path.replace

    def cut(path, target):
        if path == old:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut)
        assert main(["migrate", str(outputs)]) == 130
    assert values_of(old / "record.json")["schema_version"] == 2
    capsys.readouterr()
    assert main(["migrate", str(outputs)]) == 0
    assert "1 run(s) brought over" in capsys.readouterr().out
    (run,) = map(Run, outputs.glob("toy_ns_gan/gaussian_ring/*"))
    assert run.id == run.record().run_id != old.name


def test_an_old_run_of_an_own_class_opens_before_and_after_it_is_brought_over(
    old, outputs, capsys, monkeypatch
):
    """Its id is none of today's; its checkpoints bear the one that it had."""
    here = outputs.parent
    loss = "lit_models.adversarial.losses.NonSaturatingLoss"
    module, _, name = loss.rpartition(".")
    (here / "my_old_parts.py").write_text(f"from {module} import {name} as MyLoss\n")
    monkeypatch.setenv("DGMBENCH_TRUST", f"my_old_parts,{module}")
    sources_hash.cache_clear()
    values = values_of(old / "record.json")
    values.pop("digest")
    with_an_own_loss(values)
    (old / "record.json").write_text(json.dumps(values))
    config = (old / "config.yaml").read_text()
    (old / "config.yaml").write_text(config.replace(loss, "my_old_parts.MyLoss"))
    for path in (old / "checkpoints").iterdir():
        torch.save({**torch.load(path, weights_only=True), "run_id": values["run_id"]}, path)
    old = old.rename(old.with_name(values["run_id"]))
    for _ in range(2):
        (folder,) = old.parent.iterdir()
        assert main(["evaluate", str(folder), "protocol=modes_2500"]) == 0
        said = f"the sources of my_old_parts may have changed since run {folder} was trained"
        assert said in capsys.readouterr().err
        assert main(["migrate", str(outputs)]) == 0
    assert folder.name != old.name
    sources_hash.cache_clear()


def test_a_class_that_is_gone_is_named_in_one_line(old, capsys):
    config = old / "config.yaml"
    config.write_text(config.read_text().replace("lit_models.priors.", "lit_models.gone."))
    assert main(["evaluate", str(old), "protocol=modes_2500"]) == 2
    said = capsys.readouterr().err
    assert "model.prior._target_ names lit_models.gone.NormalPrior, which this version" in said
    assert len(said.strip().splitlines()) == 1


def test_published_records_and_their_pictures_are_renamed(tmp_path, capsys):
    folder = tmp_path / "results" / "t"
    shutil.copytree(HERE / "records", folder / "records")
    (folder / "grids").mkdir()
    for path in TRAINED:
        (folder / "grids" / f"{path.stem}.png").write_bytes(b"x")
    assert main(["migrate", str(tmp_path / "results")]) == 0
    assert f"{len(RECORDS)} published record(s)" in capsys.readouterr().out
    for path in (folder / "records").glob("*.json"):
        record = read_record(path)
        assert path.stem.endswith(record.run_id)
        assert values_of(path)["schema_version"] == 2
        grid = folder / "grids" / f"{path.stem}.png"
        assert grid.exists() == (record.experiment != "images")
    assert main(["migrate", str(tmp_path / "results")]) == 0
    assert "0 published record(s)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ended", "kept"), [("2999-01-01T00:00:00+00:00", "new"), ("1999-01-01T00:00:00+00:00", "old")]
)
def test_of_two_published_records_of_a_run_the_better_one_is_kept(tmp_path, ended, kept):
    """With its picture; the other one had been trained, and published, under today's id."""
    folder, source = tmp_path / "results" / "t", TRAINED[0]
    for part in ("records", "grids"):
        (folder / part).mkdir(parents=True)
    shutil.copy(source, folder / "records")
    new = read_record(source)
    new.ended, new.migrated_from = ended, None
    name = source.stem.replace(values_of(source)["run_id"], new.run_id)
    new.write(folder / "records" / f"{name}.json")
    (folder / "grids" / f"{source.stem}.png").write_text("old")
    (folder / "grids" / f"{name}.png").write_text("new")
    assert main(["migrate", str(tmp_path / "results")]) == 0
    (record,) = map(read_record, (folder / "records").iterdir())
    assert (record.ended == ended) == (kept == "new")
    (picture,) = (folder / "grids").iterdir()
    assert (picture.stem, picture.read_text()) == (name, kept)


def test_a_folder_that_is_none(capsys):
    assert main(["migrate", "none"]) == 2
    assert "must be a folder of results or runs, got none" in capsys.readouterr().err
