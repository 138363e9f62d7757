"""Fixtures for all tests."""

import warnings

import pytest
import torch


def pytest_addoption(parser):
    text = "write what tests/reliability shows into results/reliability.md and the README"
    parser.addoption("--write-reliability", action="store_true", help=text)


@pytest.fixture(autouse=True)
def _quiet_and_single_threaded():
    """Small tensors gain nothing from threads; resume is exact for one number of threads."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        yield


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A working space of its own; relative paths land beside it."""
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"
