"""MLflow's database, read back: one run of one history over a kill."""

import pytest

from benchmarks.core.errors import UserError
from benchmarks.loggers.csv_logger import CsvLogger
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from tests.benchmarks.loggers.helpers import assert_one_history, cut, logged

pytest.importorskip("mlflow")
MLFLOW = {
    "_target_": "benchmarks.loggers.mlflow_logger.mlflow_logger",
    "experiment": "mine",
    "tracking_uri": None,
    "tags": {"a": "b"},
}


@pytest.fixture
def store(outputs, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda: MlflowClient(f"sqlite:///{outputs / 'mlflow.db'}")


def runs_of(client):
    (experiment,) = [e for e in client.search_experiments() if e.name == "mine"]
    return client.search_runs([experiment.experiment_id])


def values_of(client, run):
    """Every value by (name, images_seen); refuses what is there twice."""
    found = [
        m for name in run.data.metrics for m in client.get_metric_history(run.info.run_id, name)
    ]
    values = {(m.key, m.step): m.value for m in found}
    assert len(values) == len(found)
    return values


def test_a_run_killed_and_resumed_is_one_run_of_one_history(store, outputs, monkeypatch):
    composed = logged({"csv": None, "mlflow": MLFLOW}, ["bits_per_dim_test"])
    cut(composed, monkeypatch)
    (begun,) = runs_of(store())
    record = train(composed, bar=False)
    assert not list(outputs.glob(".mlflow.db*"))  # it was made whole, and renamed
    (run,) = runs_of(store())
    assert run.info.run_id == begun.info.run_id
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "/".join(Run.of(composed).key)
    assert run.data.tags["a"] == "b"
    assert not {"mlflow.user", "mlflow.source.name"} & set(run.data.tags)
    values = values_of(store(), run)
    assert_one_history(values, composed)
    end = record.counters["images_seen"]
    value = record.evaluations[0].metrics["bits_per_dim"]
    assert values["bits_per_dim_test/bits_per_dim", end] == pytest.approx(value)
    assert list((outputs / "mlartifacts").rglob(f"samples/{end}.png"))
    # what a stretch without it has logged, it is told; begun anew, the run is another one
    from benchmarks.loggers.mlflow_logger import mlflow_logger

    logs = Run.of(composed).logs
    CsvLogger(logs, "id", end).log_metrics({"late": 1.0}, end + 8)
    settings = {key: MLFLOW[key] for key in ("experiment", "tracking_uri", "tags")}
    history = CsvLogger(logs, "id", end + 8)
    mlflow_logger(logs, "id", end + 8, history, **settings)
    (again,) = runs_of(store())
    assert values_of(store(), again) == values | {("late", end + 8): 1.0}
    mlflow_logger(logs, "id", 0, CsvLogger(logs, "id", 0), **settings)
    (anew,) = runs_of(store())
    assert anew.info.run_id != run.info.run_id
    assert anew.data.metrics == {}


def test_a_store_that_cannot_be_opened_is_one_line(tmp_path, outputs):
    from benchmarks.loggers.mlflow_logger import mlflow_logger

    outputs.mkdir()
    given = (tmp_path, "id", 0, CsvLogger(tmp_path, "id", 0), "mine")
    with pytest.raises(UserError, match="MLflow cannot open nothing://there: ") as error:
        mlflow_logger(*given, "nothing://there", {})
    assert "\n" not in str(error.value)
