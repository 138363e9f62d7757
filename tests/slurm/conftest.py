"""A SLURM of our own for the tests that are marked `slurm`; `make test-slurm` asks for it."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster

FOLDER = Path("/tmp/dgmbench-slurm")


@contextmanager
def started(accounting):
    """Start a cluster and end it; its commands find it by the environment."""
    cluster = Cluster(FOLDER, accounting)
    cluster.stop()  # one that an earlier session left
    shutil.rmtree(FOLDER, ignore_errors=True)
    cluster.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        yield cluster
        cluster.stop()


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, with accounting, for the tests of a file."""
    with started(accounting=True) as found:
        yield found


@pytest.fixture(scope="module")
def cluster_without_accounting():
    """Two nodes; sacct does not answer."""
    with started(accounting=False) as found:
        yield found


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A working space of its own, that jobs reach, too."""
    tmp_path.chmod(0o755)
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(tmp_path / "outputs"))
    for name in [n for n in os.environ if n.startswith("SLURM_") and n != "SLURM_CONF"]:
        monkeypatch.delenv(name)
    return tmp_path / "outputs"
