"""The command line: it finds the verb, and tells of mistakes and signals in one line."""

import argparse
import errno
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import datamodules  # noqa: F401 - before a folder of this name beside the user's can be found
from benchmarks.commands.settings import add_config_dir
from benchmarks.core.environment import is_first_process
from benchmarks.core.errors import UserError, one_line, shortened
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import outputs_dir
from benchmarks.core.redaction import redacted
from benchmarks.core.version import __version__
from datamodules.root import PathError
from lit_models.training.interruption import EXIT_CODE, Interrupted, signals_noted

__all__ = ["main", "parser"]

EPILOG = """examples:
  dgmbench table quick                          train, score and print the quick table
  dgmbench train experiment=lucic2018/wgan_gp datamodule=fashion_mnist_small seed=3
  dgmbench evaluate RUN protocol=fd_lenet_2k_test2k
  dgmbench list experiments
"""
VERBS = (  # of benchmarks.commands, in the order of --help
    *("train", "evaluate", "pictures", "table", "sweep", "queue", "status", "cancel", "logs"),
    *("sync", "prune", "publish", "report", "offline", "compare", "verdicts", "gate"),
    *("reproduce", "export", "list", "prefetch", "migrate", "doctor"),
)
STOPPABLE = (  # by signals
    *("train", "evaluate", "pictures", "table", "sweep", "queue", "gate", "reproduce", "doctor"),
)
NOT_OURS = (  # faults of the machine that any file may meet: told in a line, as a mistake is
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EMFILE),
)


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
    for name in VERBS:
        command = import_module(f"benchmarks.commands.{name}")
        text = str(command.run.__doc__).splitlines()[0]
        verb = verbs.add_parser(name, help=text, description=text)
        command.add_arguments(verb)
        add_config_dir(verb)
        verb.set_defaults(function=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; mistakes of the user give one line and exit code 2, faults of ours code 1."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # we tell of processes that died
    sys.excepthook = _print_without_secrets
    _print_what_the_terminal_can()
    _import_from_here()
    given = _parse(argv)
    # lazily: help needs no configs
    from benchmarks.config.catalogue import searching

    try:
        stoppable = signals_noted() if given.verb in STOPPABLE else nullcontext()
        with stoppable, searching(given.config_dir):
            _end_with_parent()
            return given.function(given)
    except (UserError, PathError) as error:
        return _refuse(str(error))
    except Interrupted as signal:
        code, what = _leave(str(signal))
        if is_first_process():
            print(f"dgmbench: stopped by {signal}; {what}", file=sys.stderr)
        return code
    except BrokenPipeError:  # such as `dgmbench list | head`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        return 141
    except KeyboardInterrupt:
        print("dgmbench: interrupted; the same command begins again", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in NOT_OURS:
            return _fault(given.verb, error)
        return _refuse(one_line(error))
    except Exception as error:
        return _fault(given.verb, error)


def _refuse(text: str) -> int:
    """Tell of a mistake in one line."""
    if is_first_process():
        print(f"dgmbench: {shortened(redacted(text))}", file=sys.stderr)
    return 2


def _fault(verb: str, error: Exception) -> int:
    """Tell of a fault of ours in one line, which names the file that has its trace."""
    trace = redacted("".join(traceback.format_exception(error)))
    name = f"{verb}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    said = f"dgmbench: {type(error).__name__}: {shortened(redacted(one_line(error)))}"
    for folder in (_outputs_or_nothing(), Path(tempfile.gettempdir()) / "dgmbench-errors"):
        with suppress(OSError):
            if folder is not None:
                write_atomically(folder / name, trace)
                print(f"{said} (a fault of the program: {folder / name})", file=sys.stderr)
                return 1
    print(f"{trace}{said}", file=sys.stderr)  # no file can be written
    return 1


def _outputs_or_nothing() -> Path | None:
    """Return the folder of traces in the working space."""
    try:
        return outputs_dir() / "errors"
    except PathError:
        return None


def _print_what_the_terminal_can() -> None:
    """Replace characters that the terminal, or where its output goes, does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _import_from_here() -> None:
    """Let a user's own package lie in the current folder, however the program was started.

    `python -m benchmarks`, which runs of a table are started by, finds it there; the script
    `dgmbench`, which plans them, would not, and would give them other ids.
    """
    with suppress(OSError):  # a folder that is gone
        here = str(Path.cwd())
        if sys.flags.safe_path and here not in sys.path:
            return  # the user wants none of this
        sys.path[:] = [here, *(place for place in sys.path if place != here)]


def _end_with_parent() -> None:
    """End with the process that has started this one, where that asks for it."""
    if "DGMBENCH_PARENT" in os.environ:
        # lazily: most processes are started by a person
        from benchmarks.core.parent import end_with_parent

        end_with_parent()


def _print_without_secrets(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print the traceback of a fault of ours; a run's log is such a place, too."""
    print(redacted("".join(traceback.format_exception(kind, error, trace))), file=sys.stderr)


def _leave(signal: str) -> tuple[int, str]:
    """Return the exit code after a signal, and what becomes of the work.

    A job of SLURM is put into the queue again, unless a person has pressed Ctrl-C in it.
    """
    if "SLURM_JOB_ID" in os.environ and signal != "SIGINT":
        # lazily: most runs are not of SLURM
        from benchmarks.execution.slurm.leaving import leave_own_job

        left = leave_own_job(signal)
        if left is not None:
            return left[0], f"job {left[1]}"
    return EXIT_CODE, "the same command continues"


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; overrides may stand before, between and after the options."""
    reader = parser()
    given, rest = reader.parse_known_args(argv)
    if rest and ("overrides" not in given or any(r.startswith("-") for r in rest)):
        reader.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        given.overrides = [*given.overrides, *rest]
    return given


if __name__ == "__main__":
    sys.exit(main())
