"""Commands of SLURM, and a Python of runs, that say and do what a test wants."""

import sys

import pytest

from benchmarks.execution import local
from benchmarks.execution.slurm import commands, submit
from benchmarks.execution.slurm.commands import Entry
from benchmarks.execution.slurm.submissions import Submission, Work, submissions_dir


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Put a command on the PATH that says something, and keeps what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))  # and no real SLURM

    def make(name, says="", code=0, error=""):
        (folder / f"{name}.says").write_text(says)
        (folder / f"{name}.error").write_text(error)
        script = folder / name
        script.write_text(
            f'#!/bin/sh\necho "$@" >> {folder}/{name}.asked\n/bin/cat {folder}/{name}.says\n'
            f"/bin/cat {folder}/{name}.error >&2\nexit {code}\n"
        )
        script.chmod(0o755)
        return folder / f"{name}.asked"

    return make


@pytest.fixture
def answering(fake):
    """A SLURM that answers: an empty queue, and to sbatch as a test wants."""

    def make(largest_array=1001, **sbatch):
        fake("squeue")
        fake("srun")
        fake("scontrol", f"MaxArraySize = {largest_array}\n")
        fake("sbatch", **sbatch)

    return make


@pytest.fixture
def taken(monkeypatch):
    """What the queue shows: all that was handed to sbatch, waiting."""
    shown = []

    def sbatch(function, tasks, folder, name, launcher):
        shown.extend(Entry(name, f"7_{t}", t, "PENDING", "", "", "") for t in range(len(tasks)))
        return "7"

    monkeypatch.setattr(submit, "sbatch", sbatch)
    monkeypatch.setattr(commands, "queue", lambda users: list(shown))
    return shown


def work(seed=0, command=("--version",), experiment="toy/ns_gan"):
    """A run of a job."""
    return Work(
        f"toy s{seed}", experiment, "gaussian_ring", f"ab-r1-s{seed}", seed, "toy", command
    )


def submission(identifier, *jobs, table="t", side_by_side=1):
    """A submission, written."""
    found = Submission(
        identifier,
        table,
        f"2026-01-01T00:00:00.{len(identifier):06}",
        0,
        (submissions_dir() / identifier).resolve(),
        ".",
        {},
        60,
        120,
        side_by_side,
        None,
        tuple(jobs),
    )
    found.write()
    return found


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Return a function that puts a shell script in the place of the Python of the runs."""
    monkeypatch.setattr(local, "POLL_SECONDS", 0.01)
    path = tmp_path / "python"

    def make(text):
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return make
