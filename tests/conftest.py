"""Fixtures for all tests."""

import sys
import warnings

import pytest
import torch


def pytest_addoption(parser):
    text = "write what tests/reliability shows into results/reliability.md and the README"
    parser.addoption("--write-reliability", action="store_true", help=text)
    text = "start a SLURM on this machine (Debian packages, as root) for the tests that need one"
    parser.addoption("--slurm", action="store_true", help=text)


def pytest_collection_modifyitems(config, items):
    """Without --slurm, skip what needs a cluster, and without a GPU what needs one; say why."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU: make gpu-check on one"))
    if not config.getoption("--slurm"):
        for item in items:
            if item.get_closest_marker("slurm"):
                item.add_marker(pytest.mark.skip(reason="needs a SLURM: make test-slurm"))


@pytest.fixture(autouse=True)
def _quiet_and_single_threaded():
    """Small tensors gain nothing from threads; resume is exact for one number of threads."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        yield


@pytest.fixture(autouse=True)
def _no_trial(request, monkeypatch):
    """Hundreds of tests train; the trial before each would double that, and has its own tests."""
    if request.node.get_closest_marker("trial") is None:
        monkeypatch.setattr("benchmarks.training.build.try_out", lambda *_: [])


@pytest.fixture(autouse=True)
def _own_search_path(monkeypatch):
    """Each call of the command line puts the current folder first; the next test has another."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def own_configs(tmp_path, monkeypatch):
    """A folder of configs of a user's own, with a group of tables."""
    folder = tmp_path / "own_configs"
    (folder / "table").mkdir(parents=True)
    monkeypatch.setenv("DGMBENCH_PATH", str(folder))
    return folder


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A working space of its own; relative paths land beside it."""
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"
