"""The last resort: whatever else goes wrong is one line, with its trace in a file, and code 1."""

import errno
import io
import os
import re
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main

NAMES = re.compile(r"\(a fault of the program: (.*)\)\n$")
SECRET = "hunter2hunter2"


@pytest.fixture
def broken(monkeypatch):
    """Let every verb fail in a way that nobody has foreseen."""

    def fail(error):
        def plan(*_):
            raise error

        monkeypatch.setattr("benchmarks.tables.listing.print_listing", plan)
        monkeypatch.setattr("benchmarks.execution.status.print_status", plan)

    return fail


@pytest.mark.parametrize("verb", [["list", "tables"], ["status"]])
@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("one\ntwo"), KeyError("x"), RuntimeError(), FileNotFoundError(2, "x")],
)
def test_a_fault_is_one_line_and_a_file(verb, error, broken, outputs, capsys):
    broken(error)
    assert main(verb) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"dgmbench: {type(error).__name__}: ")
    assert said.count("\n") == 1
    trace = Path(NAMES.search(said)[1])
    assert trace.parent == outputs / "errors"
    assert trace.name.startswith(verb[0])
    text = trace.read_text()
    assert text.startswith("Traceback (most recent call last):\n")
    assert type(error).__name__ in text


def test_without_outputs_the_trace_is_in_the_temporary_folder(
    broken, tmp_path, monkeypatch, capsys
):
    broken(ZeroDivisionError())
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "t"))
    (tmp_path / "file").touch()
    for outputs in (tmp_path / "file", "~nosuchuser"):
        monkeypatch.setenv("DGMBENCH_OUTPUTS", str(outputs))
        assert main(["status"]) == 1
        trace = Path(NAMES.search(capsys.readouterr().err)[1])
        assert trace.parent == tmp_path / "t/dgmbench-errors"
        assert "ZeroDivisionError" in trace.read_text()


def test_a_trace_that_fits_nowhere_is_printed_before_the_line(
    broken, outputs, monkeypatch, capsys
):
    broken(ZeroDivisionError("x"))

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("benchmarks.__main__.write_atomically", full)
    assert main(["status"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "dgmbench: ZeroDivisionError: x"


def test_secrets_are_in_neither(broken, outputs, monkeypatch, capsys):
    monkeypatch.setenv("MY_PASSWORD", SECRET)
    broken(ZeroDivisionError(f"login with {SECRET}"))
    assert main(["status"]) == 1
    said = capsys.readouterr().err
    assert "[redacted]" in said
    assert SECRET not in said + Path(NAMES.search(said)[1]).read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG])
def test_faults_of_the_machine_are_told_as_mistakes_are(number, broken, outputs, capsys):
    broken(OSError(number, os.strerror(number), "x/table.md"))
    assert main(["status"]) == 2
    assert capsys.readouterr().err == (
        f"dgmbench: x/table.md cannot be read or written: {os.strerror(number)}\n"
    )
    assert not outputs.exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "iso8859-15"])
def test_a_terminal_replaces_what_it_cannot_show(encoding, broken, outputs, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stderr", terminal)
    broken(ZeroDivisionError("↓ – ≤ ü"))
    assert main(["status"]) == 1
    terminal.flush()
    said = terminal.buffer.getvalue().decode(encoding)
    assert said.startswith("dgmbench: ZeroDivisionError: ? ? ? ")
    (trace,) = (outputs / "errors").iterdir()
    assert "↓ – ≤ ü" in trace.read_text(encoding="utf-8")


LONG = "x" * 5000
HOMELESS = "no user is called nosuchuser"
PATHS = [
    (["train", f"experiment={LONG}"], "experiment 'xxx"),
    (["train", "experiment=toy/ns_gan", f"datamodule={LONG}"], "datamodule 'xxx"),
    (
        ["train", "experiment=toy/ns_gan", f"datamodule.name={LONG}"],
        "datamodule.name must be 1 to",
    ),
    (["train", "experiment=toy/ns_gan", f"protocols=[{LONG}]"], "protocol 'xxx"),
    (["table", LONG], "table 'xxx"),
    (["table", f"{LONG}.yaml"], "File name too long"),
    (["evaluate", LONG, "protocol=bits_per_dim_test"], "File name too long"),
    (["logs", LONG], "File name too long"),
    (["compare", LONG, LONG], "File name too long"),
    (["reproduce", LONG], "File name too long"),
    (["train", "--config-dir", LONG, "experiment=x"], "File name too long"),
    (["evaluate", "~nosuchuser", "protocol=bits_per_dim_test"], "RUN must name a place on"),
    (["export", "~nosuchuser"], HOMELESS),
    (["pictures", "~nosuchuser/x"], HOMELESS),
    (["compare", "~nosuchuser", "x"], HOMELESS),
    (["reproduce", "~nosuchuser"], HOMELESS),
    (["report", "--output", "~nosuchuser/x.html"], "--output must name a place on"),
    (
        ["evaluate", "images=~nosuchuser", "datamodule=digits", "protocol=fd_lenet_2k_test2k"],
        HOMELESS,
    ),
    (["train", "--config-dir", "~nosuchuser", "experiment=x"], HOMELESS),
]


@pytest.mark.parametrize(("arguments", "message"), PATHS, ids=lambda v: " ".join(v)[:40])
def test_paths_and_names_that_nobody_can_have(arguments, message, outputs, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("dgmbench: ")
    assert said.count("\n") == 1
    assert message in said
    assert LONG not in said
    assert not list(outputs.rglob("record.json"))


def test_without_a_home_folder_the_advice_names_what_to_set(outputs, monkeypatch, capsys):
    def nobody(path):
        if "~" in str(path):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", nobody)
    monkeypatch.delenv("DGMBENCH_DATA", raising=False)
    assert main(["train", "experiment=lucic2018/wgan", "datamodule=mnist", "--trial"]) == 2
    assert "DGMBENCH_DATA must be set to a folder" in (said := capsys.readouterr().err)
    assert "HOME is not set" in said
    assert said.count("\n") == 1
