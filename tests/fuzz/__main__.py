"""`python -m tests.fuzz`: calls drawn by a seed, and what was wrong with them, by kind."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.calls import draw
from tests.fuzz.judge import Failure, call_here, call_process
from tests.fuzz.space import Space

IN_PROCESS, PROCESSES, MINUTES = 2000, 50, 10.0


def main() -> int:
    """Make the calls; return 1 where one of them failed."""
    given = _arguments()
    found: dict[str, list[tuple[str, Failure]]] = {}
    began, done = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as scratch:
        space = Space(Path(scratch) / "space")
        with space.entered():
            space.make()
            for number in given.only or range(given.calls + given.processes):
                if time.monotonic() - began > 60 * given.minutes:
                    break
                call, is_process = draw(given.seed, number), number >= given.calls
                failure = (
                    call_process(space, call, number) if is_process else call_here(space, call)
                )
                done += 1
                if failure is not None:
                    again = f"python -m tests.fuzz --seed {given.seed} --only {number}"
                    found.setdefault(failure.kind, []).append((again, failure))
                if given.only:
                    print(number, call.environment, call.arguments, failure, sep="\n")
    for kind, failures in sorted(found.items(), key=lambda item: -len(item[1])):
        print(f"{len(failures)} x {kind}\n    {failures[0][0]}")
    total = sum(map(len, found.values()))
    print(
        f"{done} calls in {time.monotonic() - began:.0f} s, {total} failed, of {len(found)} kinds"
    )
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", type=int, default=IN_PROCESS, help="in this process")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="in their own")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="at most")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of calls, shown in full")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
