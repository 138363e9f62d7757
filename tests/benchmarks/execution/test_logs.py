"""`dgmbench logs`: what a run, and its job, last said."""

from benchmarks.__main__ import main
from benchmarks.execution.logs import find_run
from benchmarks.execution.slurm.submissions import (
    submissions_dir,
)
from benchmarks.runs.record import Record
from tests.benchmarks.execution.conftest import submission, work


def test_logs_by_folder_and_by_id(outputs, capsys):
    made = submission("quick-1", (work(0),))
    made.keep_id("12")
    made.log(0).write_text("of the job\n")
    assert main(["logs", "ab-r1-s0"]) == 0
    (submissions_dir().parent / work(0).name).mkdir(parents=True)
    assert main(["logs", work(0).name]) == 0  # as a dry run prints it
    assert "of the job" in capsys.readouterr().out
    (work(0).run.folder / "run.log").write_text("".join(f"line {i}\n" for i in range(30)))
    assert main(["logs", str(work(0).run.folder), "--lines", "2"]) == 0
    said = capsys.readouterr().out
    assert "line 27" not in said
    assert "line 28\nline 29\n==> " in said
    for arguments, message in (
        (["ab-r1-s1"], "RUN must be a run's folder or id, got ab-r1-s1; did you mean ab-r1-s0"),
        (["ab-r1-s0", "--lines", "0"], "lines must be >= 1, got 0"),
        ([str(submissions_dir())], "has no log"),
    ):
        assert main(["logs", *arguments]) == 2
        assert message in capsys.readouterr().err


def log_of(outputs, *parts, text="said\n", name="run.log"):
    """Write a log of a run that has no record yet."""
    folder = outputs.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_a_run_is_found_by_what_it_left(outputs):
    logged = log_of(outputs, "e", "d", "ab-r1-s0")
    recorded = outputs / "e" / "d" / "cd-r1-s0"
    Record("e", "d", "cd-r1-s0", 0, "finished").write(recorded / "record.json")
    submission("quick-1", (work(7),))  # waits, and has no folder
    for folder in (logged, recorded, work(7).run.folder):
        assert find_run(folder.name) == folder
    assert find_run("e/d/ab-r1-s0") == logged
    assert find_run(str(logged)) == logged


def test_a_relative_folder_is_made_absolute(outputs, monkeypatch):
    folder = log_of(outputs, "e", "d", "ab-r1-s0")
    monkeypatch.chdir(folder)
    assert find_run(".") == folder


def test_one_id_of_two_experiments_is_told_apart_by_the_folder(outputs, capsys):
    folders = [log_of(outputs, name, "d", "ab-r1-s0") for name in ("e", "f")]
    assert main(["logs", "ab-r1-s0"]) == 2
    message = f"RUN must be one of {folders[0]}, {folders[1]}, got ab-r1-s0"
    assert message in capsys.readouterr().err
    assert main(["logs", "f/d/ab-r1-s0"]) == 0


def test_nothing_to_find(outputs, capsys):
    assert main(["logs", "ab-r1-s0"]) == 2
    assert "got ab-r1-s0: there are no runs" in capsys.readouterr().err


def test_all_that_says_something_is_shown_in_order(outputs, capsys):
    """Processes of the run, the traceback, the job; whole lines; of jobs the newest."""
    older, newer = submission("q", (work(0),)), submission("quick", (work(1),), (work(0),))
    for made, task, text in ((older, 0, "of the older job\n"), (newer, 1, "of the newer job\n")):
        made.keep_id("7")
        made.log(task).write_text(text)
    folder = work(0).run.folder
    for name, text in (
        ("run.1.log", f"{'x' * 500}\n"),
        ("run.log", "one\n\ntwo\n"),
        ("run.2.log", ""),
        ("error.txt", "ValueError: no\n"),
        ("notes.txt", "no log"),
    ):
        log_of(folder, text=text, name=name)
    assert main(["logs", str(folder)]) == 0
    expected = [
        (folder / "run.1.log", "x" * 500),
        (folder / "run.log", "one\ntwo"),
        (folder / "error.txt", "ValueError: no"),
        (newer.log(1), "of the newer job"),
    ]
    said = "".join(f"==> {path} <==\n{text}\n" for path, text in expected)
    assert capsys.readouterr().out == said
