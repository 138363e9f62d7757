"""Runs as jobs of a test cluster, and what is asked of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.config.compose import compose
from benchmarks.config.identity import run_id
from benchmarks.core.paths import working_in
from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.launcher import load_launcher
from benchmarks.execution.slurm.submissions import Work
from benchmarks.execution.slurm.submit import submit_array
from benchmarks.runs.record import read_record

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


def table_file(folder, name, seeds, experiment="untrained/pixelcnn_quick", dataset="digits",
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


def dgmbench(*arguments, program=("-m", "benchmarks"), cwd=ROOT, **environment):
    """Run a verb in a folder; return its code and what it said."""
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
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


LIST = Work("list", "none", "none", "a-r1-s0", 0, "list", ("list", "losses"))  # a quick one


def submit(space, overrides, *settings):
    """Submit one training into a working space, as a task of an array; return its job."""
    launcher = load_launcher("slurm", [f"launcher.{s}" for s in settings])
    with working_in(space):
        submit_array([(work_of(overrides),), (LIST,)], launcher, "test")
    (job,) = space.glob("slurm/*/job")
    return f"{job.read_text().strip()}_0"


def entry_of(job):
    """The queue's entry of a job."""
    (found,) = [e for e in commands.queue() if e.job == job]
    return found


def log_of(space):
    """What the job of the only submission said."""
    (path,) = space.glob("slurm/*/*_0_0_log.out")
    return path.read_text()


def is_done(space):
    """Return whether the only run has finished."""
    for path in space.glob("*/*/*/record.json"):
        record = read_record(path)
        assert record.status != "failed", record.reason
        return record.status == "finished"
    return False


def reached(space):
    """Return the images seen at the newest checkpoint of the only run; 0 before the first."""
    return max((int(p.stem) for p in space.rglob("[0-9]*.ckpt")), default=0)


def wait_for_progress(space, beyond=0):
    """Wait until the run has saved more than it had; return what it has now."""
    return wait_for(lambda: reached(space) if reached(space) > beyond else None, "a checkpoint")


def last_state(space):
    """The newest checkpoint of the only run."""
    newest = max(space.rglob("[0-9]*.ckpt"), key=lambda p: int(p.stem))
    return torch.load(newest, weights_only=True)
