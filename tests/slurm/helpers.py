"""Runs as jobs of a test cluster, and what is asked of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.compose import compose
from benchmarks.identity import run_id
from benchmarks.records import read_record
from benchmarks.slurm.launcher import load_launcher
from benchmarks.slurm.submissions import Work
from benchmarks.slurm.submit import submit_array

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240
SPEC = """
title: {name}
note: ""
seeds: {seeds}
columns:
  - {{label: bits, dataset: {dataset}, protocol: {protocol}, metric: {metric}, better: lower,
      digits: 3}}
rows:
  - {{label: untrained, experiment: {experiment}}}
"""


def table_file(folder, name, seeds, experiment="untrained_pixelcnn_quick", dataset="digits",
               protocol="bits_per_dim_test", metric="bits_per_dim"):  # fmt: skip
    """Write the file of a table with one row."""
    path = folder / f"{name}.yaml"
    path.write_text(
        SPEC.format(
            name=name,
            seeds=seeds,
            experiment=experiment,
            dataset=dataset,
            protocol=protocol,
            metric=metric,
        )
    )
    return str(path)


def dgmbench(*arguments, **environment):
    """Run a verb; return its code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def wait_for(condition, what):
    """Wait until something holds; return it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {PATIENCE_SECONDS} s")


def work_of(overrides):
    """Return a training with any overrides as the work of a job."""
    composed = compose(overrides)
    return Work(
        "test",
        composed.experiment,
        composed.dataset,
        run_id(composed.cfg),
        composed.cfg.seed,
        "test",
        ("train", "--no-bar", *overrides),
    )


def submit(overrides, *settings):
    """Submit one training; return its work."""
    work = work_of(overrides)
    launcher = load_launcher("slurm", [f"launcher.{s}" for s in settings])
    submit_array([(work,)], launcher, "test")
    return work


def is_done(work):
    """Return whether a run has finished."""
    record = read_record(work.run.record_path)
    assert record is None or record.status != "failed", record.reason
    return record is not None and record.status == "finished"


def reached(work):
    """Return the images seen at the newest checkpoint; 0 before the first."""
    found = work.run.checkpoints.glob("[0-9]*.ckpt")
    return max((int(p.stem) for p in found), default=0)
