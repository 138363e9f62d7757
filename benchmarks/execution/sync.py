"""`dgmbench sync T`: what a table's runs logged offline, to the server of W&B."""

import subprocess
import sys

from benchmarks.core.errors import UserError
from benchmarks.core.paths import outputs_dir
from benchmarks.runs.state import is_held
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.spec import load_spec

__all__ = ["sync"]

FOLDERS_PER_CALL = 200  # on a command line


def sync(table: str, choice: Choice, dry_run: bool = False) -> int:
    """Upload the offline files of a table's runs, and of the table; what was uploaded stays.

    W&B joins the restarts of a run, which share its id, in the order of their times.

    Args:
        table: The name of the table.
        choice: Which of its runs.
        dry_run: Print what would be uploaded.

    Returns:
        0, or 1 where W&B failed.

    Raises:
        UserError: if no key is set, or for a name the table does not have.
    """
    spec = load_spec(table)
    from benchmarks.loggers.wandb_logger import has_key, offline_folders  # lazily: seconds

    plan, _ = choice.plan(spec).complete(published=False)
    runs = choice.runs(plan)
    at_work = [run for run in runs if is_held(run.run)]
    places = [run.run.logs for run in runs if run not in at_work]
    places.append(outputs_dir() / "tables" / plan.spec.name / "logs")
    folders = [str(folder) for place in places for folder in offline_folders(place)]
    if at_work:  # W&B would take a part for the whole
        print(f"{len(at_work)} run(s) are at work and left out")
    if dry_run or not folders:
        print("\n".join([*folders, f"{len(folders)} offline log(s) not uploaded yet"]))
        return 0
    if not has_key():
        raise UserError("W&B needs a key to upload: `wandb login`, or WANDB_API_KEY")
    code = 0
    for i in range(0, len(folders), FOLDERS_PER_CALL):
        some = folders[i : i + FOLDERS_PER_CALL]
        done = subprocess.run([sys.executable, "-m", "wandb", "sync", "--yes", *some], check=False)
        code = max(code, int(done.returncode != 0))
    return code
