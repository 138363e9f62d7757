"""The command line: one verb, one function. Heavy imports happen inside the verb."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import __version__
from benchmarks.core.environment import is_first_process
from benchmarks.core.errors import UserError
from benchmarks.core.redaction import redacted
from lit_models.interruption import EXIT_CODE, Interrupted, signals_noted

if TYPE_CHECKING:
    from benchmarks.tables.plan.choice import Choice

__all__ = ["main"]

EPILOG = """examples:
  dgmbench table quick                          train, score and print the quick table
  dgmbench train experiment=lucic2018_wgan_gp datamodule=fashion_mnist_small seed=3
  dgmbench evaluate RUN protocol=fd_lenet_2k_test2k
  dgmbench list experiments
"""
STOPPABLE = (
    "train",
    "evaluate",
    "pictures",
    "table",
    "gate",
    "reproduce",
    "doctor",
)  # these look for signals
LISTS = ("methods", "losses", "datasets", "searches", "experiments", "tables", "protocols")


def train(arguments: argparse.Namespace) -> int:
    """Train one experiment, or continue it, and evaluate it."""
    from benchmarks.config.compose import compose
    from benchmarks.evaluation.scoring import describe
    from benchmarks.runs.folder import Run
    from benchmarks.training.train import train as train_run

    composed = compose(arguments.overrides, arguments.config_dir)
    if arguments.trial:
        from benchmarks.training.train import trial

        tried = trial(composed)
        print(f"{composed.experiment} on {composed.dataset}: all that was tried works")
        print("\n".join(f"  {line}" for line in tried))
        return 0
    run = Run.of(composed)
    before = run.record_path.read_bytes() if run.record_path.exists() else None
    record = train_run(composed, bar=not arguments.no_bar)
    if is_first_process():
        again = before is not None and run.record_path.read_bytes() == before
        what = f"{record.status} before; nothing to do" if again else record.status
        print(f"{what}: {run.folder}" + (f" ({record.reason})" if record.reason else ""))
        for line in (*describe(record), *record.notes):
            print(f"  {line}")
    if record.status == "failed":
        if is_first_process():
            print(f"the traceback is in {run.folder / 'error.txt'}", file=sys.stderr)
        elif str(record.reason).startswith("rank 0"):  # who would have said so
            print(f"dgmbench: {record.reason}", file=sys.stderr)
        return 1
    return 1 if record.status == "interrupted" else 0  # something cut it short


def evaluate(arguments: argparse.Namespace) -> int:
    """Score a run's checkpoint, or images made elsewhere, under a protocol."""
    from benchmarks.config.compose import compose_group
    from benchmarks.evaluation.scoring import describe, evaluate_images, evaluate_run

    known = ("protocol", "images", "datamodule", "value_range", "checkpoint", "weights", "draws")
    of_data = [o for o in arguments.overrides if o.startswith("datamodule.")]
    settings = _settings([o for o in arguments.overrides if o not in of_data], known)
    mine = arguments.config_dir
    if "protocol" not in settings:
        raise UserError("protocol must be given (dgmbench list protocols), e.g. protocol=NAME")
    protocols = settings["protocol"].strip("[]").split(",")
    for name in protocols:
        compose_group("protocol", name, config_dirs=mine)
    wrong = (
        ("images", "datamodule", "value_range")
        if arguments.run
        else ("checkpoint", "weights", "draws")
    )
    for name in (n for n in wrong if n in settings):
        other = "images=PATH" if arguments.run else "a RUN"
        raise UserError(f"{name} must be given with {other} only, got {name}={settings[name]}")
    if arguments.run is not None:
        record = evaluate_run(
            Path(arguments.run),
            protocols,
            settings.get("checkpoint", "last"),
            settings.get("weights"),
            mine,
            _count(settings, "draws"),
        )
    elif "images" in settings:
        if "datamodule" not in settings:
            raise UserError("datamodule must be given: the data set that images are compared with")
        values = [o.removeprefix("datamodule.") for o in of_data]
        data = compose_group("datamodule", settings["datamodule"], values, mine)
        value_range = _numbers(settings, "value_range")
        record = evaluate_images(settings["images"], data, protocols, mine, value_range)
    else:
        raise UserError("RUN or images=PATH must be given")
    for line in describe(record):
        print(line)
    return 0


def pictures(arguments: argparse.Namespace) -> int:
    """Draw a run's interpolations, nearest training images, latent arithmetic, or modes."""
    from benchmarks.evaluation.pictures import draw_pictures

    known = ("protocol", "checkpoint", "weights", "classes")
    settings = _settings(arguments.overrides, known)
    classes = settings.get("classes", "").split(",") if "classes" in settings else []
    if not all(label.isascii() and label.strip().isdecimal() for label in classes):
        raise UserError(f"classes must be numbers such as 9,7,2, got {settings['classes']}")
    for path in draw_pictures(
        Path(arguments.run),
        settings.get("protocol"),
        settings.get("checkpoint", "last"),
        settings.get("weights"),
        [int(label) for label in classes],
        arguments.config_dir,
    ):
        print(path)
    return 0


def table(arguments: argparse.Namespace) -> int:
    """Run what a table lacks, then print it."""
    from benchmarks.tables.run import run_table

    return run_table(
        arguments.table,
        arguments.overrides,
        arguments.jobs,
        _choice(arguments),
        arguments.dry_run,
        arguments.launcher,
    )


def status(arguments: argparse.Namespace) -> int:
    """Show the runs of the working space, or of one table."""
    from benchmarks.status import print_status

    return print_status(arguments.table, _choice(arguments))


def cancel(arguments: argparse.Namespace) -> int:
    """Take a table's jobs out of the queue; what runs saves first."""
    from benchmarks.execution.slurm.cancel import cancel_table

    return cancel_table(arguments.table, _choice(arguments))


def logs(arguments: argparse.Namespace) -> int:
    """Show what a run of a table, and its job, last said."""
    from benchmarks.logs import print_logs

    return print_logs(arguments.run, arguments.lines)


def sync(arguments: argparse.Namespace) -> int:
    """Upload to W&B what a table's runs logged offline."""
    from benchmarks.sync import sync as sync_table

    return sync_table(arguments.table, _choice(arguments), arguments.dry_run)


def prune(arguments: argparse.Namespace) -> int:
    """Remove checkpoints and snapshots of a table's finished runs that nothing needs."""
    from benchmarks.prune import prune as prune_table

    return prune_table(arguments.table, _choice(arguments), arguments.dry_run)


def publish(arguments: argparse.Namespace) -> int:
    """Merge a table's records into results/ and render it there and in the README."""
    from benchmarks.tables.publish import publish as publish_table

    return publish_table(arguments.table, arguments.seeds, arguments.configurations)


def report(arguments: argparse.Namespace) -> int:
    """Write one HTML page of all tables, runs and figures; it needs no network."""
    from benchmarks.tables.rendering.page import report as write_report

    print(write_report(arguments.tables, arguments.output and Path(arguments.output)))
    return 0


def offline(arguments: argparse.Namespace) -> int:
    """Read what W&B wrote offline of a run, and print it."""
    from benchmarks.logs import find_run

    folder = find_run(arguments.run)
    folder = folder / "logs" if (folder / "logs").is_dir() else folder
    if not any(folder.glob("wandb/offline-run-*")):
        raise UserError(f"{folder} must hold the offline files of W&B, got none")
    from benchmarks.loggers.wandb_logger import read_offline

    found = read_offline(folder)
    names = [("id", found.ids), ("group", found.groups), ("tag", found.tags)]
    for name, values in (*names, ("artifact", found.artifacts)):
        for value in sorted(values):
            print(f"{name} {value}")
    print(f"{len(found.rows)} rows")
    for key, value in sorted(found.summary.items()):
        print(f"  {key}: {value}")
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """Compare two records, runs, tables or folders of records: B minus A."""
    from benchmarks.tables.compare import compare as compare_records

    return compare_records(arguments.first, arguments.second)


def gate(arguments: argparse.Namespace) -> int:
    """Run a table again and compare it with its published records; code 1 on a regression."""
    from benchmarks.tables.rerun import gate as pass_gate

    rows = _names(arguments.rows)
    return pass_gate(arguments.table, rows, arguments.seeds, arguments.jobs)


def reproduce(arguments: argparse.Namespace) -> int:
    """Do a record's run again, and say whether its scores agree."""
    from benchmarks.tables.rerun import reproduce as reproduce_record

    return reproduce_record(arguments.record)


def export(arguments: argparse.Namespace) -> int:
    """Write a run's weights (safetensors), config, samples (npz) and citation."""
    from benchmarks.evaluation.export import export as export_run

    target = arguments.output and Path(arguments.output)
    print(export_run(Path(arguments.run), arguments.samples, arguments.checkpoint, target))
    return 0


def list_(arguments: argparse.Namespace) -> int:
    """List methods, losses, data sets, experiments, tables, protocols."""
    from benchmarks.catalogue import print_catalogue

    return print_catalogue([arguments.what] if arguments.what else list(LISTS))


def prefetch(arguments: argparse.Namespace) -> int:
    """Download data sets into the data folder, checked; what is there stays."""
    from benchmarks.prefetch import prefetch as prefetch_data

    return prefetch_data(arguments.names)


def migrate(arguments: argparse.Namespace) -> int:
    """Bring what an earlier version has published or begun under today's identities."""
    from benchmarks.migrate import migrate as migrate_folders

    return migrate_folders(arguments.folders)


def doctor(arguments: argparse.Namespace) -> int:
    """Check versions, devices, data, weights and folders; name what mends each."""
    if arguments.launcher is None:
        from benchmarks.doctor import run_doctor

        if arguments.overrides:
            raise UserError(f"--launcher NAME must be given with {arguments.overrides[0]}")
        return run_doctor()
    from benchmarks.execution.slurm.doctor import doctor_as_job

    return doctor_as_job(arguments.launcher, arguments.overrides, arguments.wait_minutes)


def parser() -> argparse.ArgumentParser:
    """Return the parser; it imports nothing heavy."""
    top = argparse.ArgumentParser(
        prog="dgmbench",
        description="A reproducible benchmark suite for deep generative models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"dgmbench {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="verb", required=True)

    def add(name: str, function: object) -> argparse.ArgumentParser:
        text = (function.__doc__ or "").splitlines()[0]
        verb = verbs.add_parser(name, help=text, description=text)
        verb.set_defaults(function=function)
        return verb

    verb = add("train", train)
    verb.add_argument("overrides", nargs="*", help="experiment=NAME [seed=N] [key=value ...]")
    verb.add_argument(
        "--config-dir", action="append", default=[], help="folder of your own configs"
    )
    verb.add_argument("--no-bar", action="store_true", help="no progress bar")
    verb.add_argument(
        "--trial",
        action="store_true",
        help="only try it: a few updates, the pictures, each protocol at its smallest",
    )
    verb = add("evaluate", evaluate)
    verb.add_argument("overrides", nargs="+", metavar="RUN | key=value", help="RUN protocol=NAME")
    verb.add_argument(
        "--config-dir", action="append", default=[], help="folder of your own configs"
    )
    verb = add("pictures", pictures)
    verb.add_argument("run", metavar="RUN", help="a run's folder")
    verb.add_argument(
        "overrides", nargs="*", help="[protocol=NAME] [checkpoint=N] [classes=a,b,c]"
    )
    verb.add_argument(
        "--config-dir", action="append", default=[], help="folder of your own configs"
    )
    verb = add("table", table)
    verb.add_argument("table", help="name of a table, or a file of your own (.yaml)")
    verb.add_argument(
        "overrides",
        nargs="*",
        help="passed on to every run: trainer=... logger=...; or launcher.KEY=VALUE",
    )
    verb.add_argument("--jobs", type=int, default=None, help="runs side by side (default: cores)")
    _add_choice(verb)
    verb.add_argument("--retry", default="", help="do again: failed, timeout, oom, diverged")
    verb.add_argument("--published", action="store_true", help="count results/ as done, too")
    verb.add_argument("--dry-run", action="store_true", help="print the runs and their cost only")
    verb.add_argument("--launcher", help="submit the runs: slurm, or a file of your own (.yaml)")
    verb = add("status", status)
    verb.add_argument("table", nargs="?", help="name of a table (default: all runs)")
    _add_choice(verb)
    verb = add("cancel", cancel)
    verb.add_argument("table", help="name of the table")
    _add_choice(verb)
    verb = add("logs", logs)
    verb.add_argument("run", metavar="RUN", help="a run's folder or id")
    verb.add_argument("--lines", type=int, default=20, help="of each log (default: 20)")
    verb = add("sync", sync)
    verb.add_argument("table", help="name of the table")
    _add_choice(verb)
    verb.add_argument("--dry-run", action="store_true", help="print what would be uploaded only")
    verb = add("prune", prune)
    verb.add_argument("table", help="name of the table")
    _add_choice(verb)
    verb.add_argument("--dry-run", action="store_true", help="print what would go only")
    verb = add("publish", publish)
    verb.add_argument("table", help="name of the table")
    verb.add_argument("--seeds", type=int, default=None, help="number of seeds")
    verb.add_argument("--configurations", type=int, default=None, help="per phase of the search")
    verb = add("report", report)
    verb.add_argument("tables", nargs="*", help="names of tables (default: all with a record)")
    verb.add_argument("--output", default=None, help="file to write (default: report.html)")
    verb = add("offline", offline)
    verb.add_argument("run", metavar="RUN", help="a run's folder or id, or a folder of logs")
    verb = add("compare", compare)
    verb.add_argument("first", metavar="A", help="a record, a run's folder, a table, a folder")
    verb.add_argument("second", metavar="B", help="the same")
    verb = add("gate", gate)
    verb.add_argument("table", nargs="?", default="quick", help="name of a published table")
    verb.add_argument("--rows", default="", help="only these rows: labels, with commas between")
    verb.add_argument("--seeds", type=int, default=1, help="number of seeds (default: 1)")
    verb.add_argument("--jobs", type=int, default=None, help="runs side by side (default: cores)")
    verb = add("reproduce", reproduce)
    verb.add_argument("record", metavar="RECORD", help="a record, or a run's folder")
    verb = add("export", export)
    verb.add_argument("run", metavar="RUN", help="a run's folder")
    verb.add_argument("--samples", type=int, default=1000, help="their number (default: 1000)")
    verb.add_argument("--checkpoint", default="last", help="last, best, or images seen")
    verb.add_argument("--output", default=None, help="folder (default: export in the run's)")
    add("list", list_).add_argument("what", nargs="?", choices=LISTS)
    add("prefetch", prefetch).add_argument("names", nargs="+", help="names of data sets")
    verb = add("migrate", migrate)
    verb.add_argument("folders", nargs="*", help="of results or runs (default: results, outputs)")
    verb = add("doctor", doctor)
    verb.add_argument("overrides", nargs="*", help="of the launcher: launcher.partition=gpu ...")
    verb.add_argument("--launcher", help="check a node, too, by a job: slurm, or a file (.yaml)")
    verb.add_argument("--wait-minutes", type=int, default=30, help="for that job (default: 30)")
    return top


def _add_choice(verb: argparse.ArgumentParser) -> None:
    """Let a verb be told which of a table's runs are meant."""
    verb.add_argument("--seeds", type=int, help="number of seeds (default: the spec's)")
    verb.add_argument("--configurations", type=int, help="per phase of the search")
    verb.add_argument("--rows", default="", help="only these rows: labels, with commas between")
    verb.add_argument("--columns", default="", help="only these columns or data sets")


def _choice(arguments: argparse.Namespace) -> "Choice":
    from benchmarks.tables.plan.choice import Choice

    return Choice(
        arguments.seeds,
        arguments.configurations,
        _names(arguments.rows),
        _names(arguments.columns),
        _names(getattr(arguments, "retry", "")),
        getattr(arguments, "published", False),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; mistakes of the user give one line and exit code 2."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # we tell of processes that died
    sys.excepthook = _print_without_secrets
    arguments = _parse(argv)
    if arguments.verb == "evaluate":
        first = arguments.overrides[0]
        arguments.run = None if "=" in first else first
        arguments.overrides = arguments.overrides[arguments.run is not None :]
    try:
        with signals_noted() if arguments.verb in STOPPABLE else nullcontext():
            return arguments.function(arguments)
    except UserError as error:
        if is_first_process():
            print(f"dgmbench: {redacted(str(error))}", file=sys.stderr)
        return 2
    except Interrupted as signal:
        code, what = _leave(str(signal))
        if is_first_process():
            print(f"dgmbench: stopped by {signal}; {what}", file=sys.stderr)
        return code
    except BrokenPipeError:  # such as `dgmbench list | head`
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        return 141
    except KeyboardInterrupt:
        print("dgmbench: interrupted; the same command begins again", file=sys.stderr)
        return 130


def _print_without_secrets(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print the traceback of a fault of ours; a run's log is such a place, too."""
    import traceback

    print(redacted("".join(traceback.format_exception(kind, error, trace))), file=sys.stderr)


def _leave(signal: str) -> tuple[int, str]:
    """Return the exit code after a signal, and what becomes of the work.

    A job of SLURM is put into the queue again, unless a person has pressed Ctrl-C in it.
    """
    if "SLURM_JOB_ID" in os.environ and signal != "SIGINT":
        from benchmarks.execution.slurm.leaving import leave_own_job

        left = leave_own_job(signal)
        if left is not None:
            return left[0], f"job {left[1]}"
    return EXIT_CODE, "the same command continues"


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; overrides may stand before, between and after the options."""
    reader = parser()
    arguments, rest = reader.parse_known_args(argv)
    if rest and ("overrides" not in arguments or any(r.startswith("-") for r in rest)):
        reader.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.overrides = [*arguments.overrides, *rest]
    return arguments


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _settings(overrides: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    from benchmarks.core.errors import suggest

    found = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or key not in known:
            raise UserError(f"{key} is no setting of this verb{suggest(key, known)}")
        found[key] = value
    return found


def _numbers(settings: dict[str, str], name: str) -> list[float] | None:
    if name not in settings:
        return None
    try:
        return [float(part) for part in settings[name].strip("[]").split(",")]
    except ValueError:
        raise UserError(
            f"{name} must be numbers with commas between, got {settings[name]}"
        ) from None


def _count(settings: dict[str, str], name: str) -> int:
    value = settings.get(name, "1")
    if not (value.isascii() and value.isdecimal() and int(value) >= 1):
        raise UserError(f"{name} must be an integer >= 1, got {value}")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
