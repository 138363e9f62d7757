"""`dgmbench logs RUN`: what a run, and its job, last said."""

from pathlib import Path

from benchmarks.core.errors import UserError, suggest
from benchmarks.core.paths import outputs_dir
from benchmarks.execution.slurm.submissions import all_submissions
from benchmarks.runs.folder import Run
from benchmarks.runs.state import tail
from datamodules.root import expanded

__all__ = ["find_run", "print_logs"]


def print_logs(run: str, lines: int) -> int:
    """Print the last lines of a run's logs, and of its newest job's.

    Args:
        run: The folder of the run, or its id.
        lines: The number of lines of each log.

    Raises:
        UserError: if there is no such run, or several.
    """
    if lines < 1:
        raise UserError(f"lines must be >= 1, got {lines}")
    folder = find_run(run)
    found = [p for p in _logs(folder) if p.exists() and p.stat().st_size]
    if not found:
        raise UserError(f"run {folder} has no log: it was not run by a table")
    for path in found:
        print(f"==> {path} <==")
        print("\n".join(tail(path, lines, None)))
    return 0


def find_run(run: str) -> Path:
    """Return a run's folder by itself, or by the run's id.

    Raises:
        UserError: if there is none, or several.
    """
    for folder in (expanded(run, "RUN"), outputs_dir() / run):
        if folder.is_dir():
            return folder.absolute()
    known = {p.parent for p in outputs_dir().glob("*/*/*/record.json")}
    known |= {p.parent for p in outputs_dir().glob("*/*/*/run.log")}
    known |= {outputs_dir() / "/".join(key) for s in all_submissions() for key in s.places}
    found = sorted(p for p in known if p.name == run)
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"RUN must be one of {', '.join(map(str, found))}, got {run}")
    raise UserError(f"RUN must be a run's folder or id, got {run}{_near(run, known)}")


def _near(run: str, known: set[Path]) -> str:
    return suggest(run, {p.name for p in known}) if known else ": there are no runs"


def _logs(folder: Path) -> list[Path]:
    """Return where a run's processes write, the traceback, and the log of its newest job."""
    key = Run(folder).key
    found = [*sorted(folder.glob("run*.log")), folder / "error.txt"]
    mine = [s for s in all_submissions() if key in s.places]
    if mine:
        task = mine[-1].places[key]
        found.append(mine[-1].log(task))
    return found
