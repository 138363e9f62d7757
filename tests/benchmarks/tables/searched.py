"""A table with a small search, and records for it."""

from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.plan.planned_run import fingerprint_of
from benchmarks.tables.spec import Column, Row, Search, TableSpec

ROW = Row("NS GAN", experiment="lucic2018/ns_gan_quick", search={"wide": "lucic2018_wide_gan"})
COLUMN = Column("FD", "fashion_mnist_small", "fd_lenet_2k_test2k", "fd_lenet", "lower", 1)
SPEC = TableSpec("t", "T", "", 2, (COLUMN,), (ROW,), search=Search({"wide": 4}, 0))


def put_score(run, value, status="finished"):
    """Write a record with a score where a planned run belongs."""
    evaluation = Evaluation(
        COLUMN.protocol, fingerprint_of(COLUMN.protocol), "last", "raw", 1, {"fd_lenet": value}
    )
    record = Record(run.experiment, run.dataset, run.run_id, run.seed, status, reason="x")
    record.evaluations = [evaluation] if status == "finished" else []
    record.write(run.run.record_path)
