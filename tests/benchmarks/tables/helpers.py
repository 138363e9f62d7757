"""A small table of a user's own, and records for it."""

from benchmarks.config.catalogue import catalogue
from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.plan.planned_run import fingerprint_of
from benchmarks.tables.rendering.render import render

MINI = """
title: "Mini | table"
note: A note.
seeds: 2
columns:
  - label: bits
    dataset: digits
    protocol: bits_per_dim_test
    metric: bits_per_dim
    better: lower
    digits: 2
rows:
  - {label: A, experiment: oord2016/pixelcnn_quick}
  - {label: B, experiment: untrained/pixelcnn_quick, note: of B}
  - {label: C, experiment: lucic2018/vae_quick}
"""


def write_mini(text):
    """Write the specification of the table `mini`."""
    (catalogue().own[0] / "table" / "mini.yaml").write_text(text)


def put(planned, value=1.5, status="finished", fingerprint=None, attributes=None, **settings):
    """Write a record where a planned run belongs."""
    evaluation = Evaluation(
        planned.protocols[0],
        fingerprint or planned.fingerprints[0],
        "last",
        "raw",
        64,
        {"bits_per_dim": value},
        attributes or {"likelihood": "exact"},
    )
    record = Record(
        planned.experiment,
        planned.dataset,
        planned.run_id,
        planned.seed,
        status,
        evaluations=[evaluation] if status == "finished" else [],
        reason=None if status == "finished" else "why",
        counters={"images_seen": 640},
        cost={
            "seconds": 3.0,
            "device": "CPU",
            "processes": 1,
            "threads": 1,
            "images_per_second": 20.0,
            "peak_memory_bytes": 2_000_000_000,
        },
        **settings,
    )
    record.write(planned.run.record_path)
    return record


def cells(plan, published=False):
    """Return a table's cells as they are laid out, by the label of the row."""
    table = render(plan, plan.records(published))
    return {line[0]: line[1:] for line in table.lines}


def score(planned, record, checkpoint, value, protocol="bits_per_dim_test"):
    """Add the score of a snapshot to a record."""
    print_ = fingerprint_of(protocol)
    metrics = {"bits_per_dim": value}
    record.add(Evaluation(protocol, print_, checkpoint, "raw", int(checkpoint), metrics))
    record.write(planned.run.record_path)


class Puts:
    """Does the runs of a table by writing records, at once.

    Attributes:
        scores: By label of the row; None: the run fails.
        asked: What the table asked for, in order.
        rates: What it said of the cost of runs.
    """

    def __init__(self, **scores):
        self.scores, self.asked, self.rates = scores, [], {}

    def prepare(self, plan, published):
        self.asked.append(("prepare", published))

    def describe(self, missing):
        self.asked.append(("describe", [run.label for run in missing]))
        return ["as this executor says"]

    def run(self, ready, rates):
        self.asked.append(("run", [run.label for run in ready]))
        assert len(self.asked) < 20, "this table asks without end"
        self.rates = rates
        failed = []
        for run in ready:
            value = self.scores[run.row.label]
            put(run, value, "failed" if value is None else "finished")
            failed += [f"{run.label} failed"] if value is None else []
        return failed

    def at_work(self):
        self.asked.append(("at_work",))
        return ()

    def closing(self):
        self.asked.append(("closing",))
        return ["said last"]
