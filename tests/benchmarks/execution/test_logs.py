"""`dgmbench logs`: what a run, and its job, last said."""

from benchmarks.__main__ import main
from benchmarks.execution.slurm.submissions import (
    submissions_dir,
)
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
