"""TensorBoard's files, read back: one history over a kill, written out at once."""

import shutil

import pytest

from benchmarks.core.errors import UserError
from benchmarks.loggers import base
from benchmarks.loggers.csv_logger import CsvLogger
from benchmarks.loggers.tensorboard_logger import read_events, tensorboard_logger
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from tests.benchmarks.loggers.helpers import assert_one_history, cut, logged

TENSORBOARD = {"_target_": "benchmarks.loggers.tensorboard_logger.tensorboard_logger"}


@pytest.mark.parametrize("first", ["csv", "tensorboard"])
def test_a_run_killed_and_resumed_has_one_history(outputs, monkeypatch, first):
    """Also where its first life had another logger."""
    pytest.importorskip("tensorboard")
    both = {"csv": None, "tensorboard": TENSORBOARD}
    composed = logged(both, ["bits_per_dim_test"])
    cut(composed if first == "tensorboard" else logged({"csv": None}), monkeypatch)
    record = train(composed, bar=False)
    found = read_events(Run.of(composed).logs / "tensorboard")  # refuses what is there twice
    assert_one_history(found, composed)
    end = record.counters["images_seen"]
    value = record.evaluations[0].metrics["bits_per_dim"]
    assert found["bits_per_dim_test/bits_per_dim", end] == pytest.approx(value)
    assert found["samples", end] is None  # a picture
    train(composed, bar=False)
    assert read_events(Run.of(composed).logs / "tensorboard") == found


def test_a_kill_takes_nothing_and_a_new_beginning_begins_anew(tmp_path):
    pytest.importorskip("tensorboard")
    history = CsvLogger(tmp_path, "id", 0)
    logger = tensorboard_logger(tmp_path, "id", 0, history)
    for step in (8, 16, 24):
        logger.log_metrics({"train/loss": step / 2}, step=step)
    left = shutil.copytree(tmp_path / "tensorboard", tmp_path / "as_a_kill_leaves_it")
    assert read_events(left) == {("train/loss", step): step / 2 for step in (8, 16, 24)}
    (path,) = left.glob("events.*")
    path.write_bytes(path.read_bytes()[:-5])  # torn
    assert ("train/loss", 24) not in read_events(left)
    logger.finalize("failed")
    again = tensorboard_logger(tmp_path, "id", 0, history)
    again.log_metrics({"train/loss": 1.0}, step=8)
    assert read_events(tmp_path / "tensorboard") == {("train/loss", 8): 1.0}


@pytest.mark.parametrize("package", ["tensorboard", "mlflow"])
def test_a_missing_package_is_one_line_that_names_the_extra(monkeypatch, package):
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"{package} is not .*: pip install 'dgmbench\[{package}"):
        base.check_installed(package, package)


def test_a_store_that_fails_does_not_end_the_run(tmp_path, capsys):
    pytest.importorskip("tensorboard")
    logger = tensorboard_logger(tmp_path, "id", 0, CsvLogger(tmp_path, "id", 0))

    def fails(*_):
        raise OSError("disk full")

    logger.put_metrics = fails
    for step in (8, 16):
        logger.log_metrics({"train/loss": 1.0}, step=step)
    said = capsys.readouterr().err
    assert said == "dgmbench: ImagesSeenTensorBoardLogger fails (disk full); the run goes on\n"
