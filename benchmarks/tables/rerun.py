"""`dgmbench gate` and `dgmbench reproduce`: runs done again, and compared with their records."""

import math
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import open_dict

from benchmarks.config.compose import compose
from benchmarks.config.deviations import override_key
from benchmarks.config.identity import IDENTITY_KEYS, run_id
from benchmarks.config.instantiate import check_interpolations, check_trusted_config
from benchmarks.core.environment import code_state
from benchmarks.core.errors import UserError
from benchmarks.core.paths import outputs_dir, results_dir, working_in
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from benchmarks.tables.analysis.cells import Records, join
from benchmarks.tables.analysis.statistics import quantile_of_t
from benchmarks.tables.compare import ROUNDING, changes, line_of, records_of
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.plan import Plan, make_plan
from benchmarks.tables.plan.scale import published_scale
from benchmarks.tables.spec import load_spec

__all__ = ["gate", "reproduce"]

FAMILY_LEVEL = 0.05  # chance that an unchanged program fails the gate
# of a record's overrides: given otherwise, or nothing that determines a result
NOT_REPEATED = ("experiment", "datamodule", "seed", "protocols")
NEVER_REPEATED = ("trainer", "logger")
REPEATED = (*IDENTITY_KEYS, "revision", "threads", "channels_last", "compile", "weights")


def reproduce(path: str) -> int:
    """Do a record's run again, in a folder of its own, and say whether its scores agree.

    Returns:
        0 if every score agrees but for rounding, else 1.

    Raises:
        UserError: if it is no record of a training run, or its config is another one today.
    """
    from benchmarks.training.train import train

    (old,) = _one(records_of(path), path)
    if old.without_digest:
        print(f"{path} has no digest: it may have been changed since it was written")
    if old.experiment == "images":
        raise UserError(f"{path} must be the record of a training run, got one of images")
    given = [f"experiment={old.experiment}", f"datamodule={old.dataset}", f"seed={old.seed}"]
    protocols = ",".join(dict.fromkeys(e.protocol for e in old.evaluations))
    composed = compose([*given, *_repeated(old.overrides, path), f"protocols=[{protocols}]"])
    check_trusted_config(composed.cfg, path)  # a record may be a stranger's
    clean = compose(given).cfg
    with open_dict(composed.cfg):  # these two are built without that check: as they stand here
        composed.cfg.trainer, composed.cfg.logger = clean.trainer, clean.logger
    if run_id(composed.cfg) != old.run_id:
        raise UserError(
            f"{path} must be of today's config of {old.experiment}: its id is {old.run_id}, "
            f"today's {run_id(composed.cfg)} (its commit is {old.code.get('git_commit')})"
        )
    with working_in(outputs_dir() / "reproduced"):
        run = Run.of(composed)
        before = run.record()
        if before is not None and before.status != "interrupted":
            shutil.rmtree(run.folder)  # by an earlier call; perhaps of other code
        new = train(composed)
    print(f"{new.status} now, {old.status} before: {run.folder}")
    found = list(changes([old], [new]))
    for change in found:
        print(line_of(change))
    lost = sorted(_measured(old) ^ _measured(new))
    for name in lost:
        print(f"{name}: on one side only")
    agrees = new.status == old.status and all(change.is_nothing for change in found)
    agrees &= not lost and (bool(found) or old.status != "finished")
    for name, before, now in _conditions(old, new):
        print(f"{name}: {before} before, {now} now")
    print("reproduced" if agrees else "not reproduced: see the differences above")
    return 0 if agrees else 1


def _repeated(overrides: Sequence[str], path: str) -> list[str]:
    """Return a record's overrides that are given again.

    Raises:
        UserError: for one of something else than a run's own settings.
    """
    kept = []
    for override in overrides:
        key = override_key(override)
        if key in NOT_REPEATED or key.split(".")[0] in NEVER_REPEATED:
            continue
        if key.split(".")[0] not in REPEATED:
            raise UserError(
                f"{path} must override settings that determine a run only "
                f"({', '.join(REPEATED)}), got {override!r}"
            )
        check_interpolations(override, f"an override of {path}")  # before any is followed
        kept.append(override)
    return kept


def _measured(record: Record) -> set[str]:
    """Return names of all finite scores of the last checkpoint."""
    return {
        f"{e.protocol} ({e.fingerprint[:12]}) [{e.weights}] {name}"
        for e in record.evaluations
        if e.checkpoint == "last"
        for name, value in e.metrics.items()
        if value is not None
    }


def _one(records: list[Record], what: str) -> list[Record]:
    if len(records) != 1:
        raise UserError(f"{what} must be one record, got {len(records)}")
    return records


def _conditions(old: Record, new: Record) -> Iterator[tuple[str, Any, Any]]:
    for name in ("device", "threads", "processes"):
        if old.cost.get(name) != new.cost.get(name):
            yield name, old.cost.get(name), new.cost.get(name)
    for name in sorted(old.versions.keys() | new.versions.keys()):
        if old.versions.get(name) != new.versions.get(name):
            yield name, old.versions.get(name), new.versions.get(name)


def gate(table: str, rows: Sequence[str], seeds: int, jobs: int | None) -> int:
    """Run a table again and compare it with its published records.

    A score regresses if it is worse than the published seeds' mean by more than the prediction
    interval of a mean of so many new seeds, at a level that an unchanged program exceeds in
    5 % of all gates (Bonferroni). On the machine and versions of the records, the same seed gives
    the same score.

    Returns:
        0, or 1 if a score regressed or a run left none.
    """
    from benchmarks.tables.run import run_table

    spec = load_spec(table)
    if spec.search is not None:
        raise UserError(f"table {table} must have no search to be a gate: it would run it again")
    plan = make_plan(spec, *published_scale(table))
    published = plan.records(published=True, outputs=False)
    if not published:
        where = results_dir() / spec.name
        raise UserError(f"table {spec.name} must have published records in {where}")
    state = code_state()
    folder = outputs_dir() / "gate" / str(state.get("git_commit") or "unknown")[:12]
    if state.get("dirty") is not False and folder.exists():
        shutil.rmtree(folder)  # the tree may have changed since
    with working_in(folder):
        choice = Choice(seeds=seeds, rows=rows)
        code = run_table(table, [], jobs, choice)
        fresh = choice.plan(spec).records(published=False)
    verdicts = list(_gate_lines(plan, published, fresh, choice))
    for _, line in verdicts:
        print(line)
    bad = sum(is_bad for is_bad, _ in verdicts)
    print(f"gate of table {spec.name}: {len(verdicts)} scores, {bad} regressed or not compared")
    return 1 if bad or code or not verdicts else 0


def _gate_lines(
    plan: Plan, published: Records, fresh: Records, choice: Choice
) -> Iterator[tuple[bool, str]]:
    """Yield whether it regressed, or cannot be compared, and a line, for every published score."""
    spec = plan.spec
    old, new = join(plan, published), join(plan, fresh)
    chosen = [
        (row, column)
        for row in filter(choice.has_row, spec.rows)
        for column in spec.columns
        if row.experiment is not None
        and (cell := old.cells.get((row.label, column.label))) is not None
        and cell.statistics.n
    ]
    for row, column in chosen:
        before = old.cells[row.label, column.label].statistics
        now = new.cells[row.label, column.label].statistics
        where, was = f"{row.label}, {column.label}", before.text(column.digits)
        if now.mean is None:
            yield True, f"{where}: no score now, {was} before"
            continue
        if before.mean is None or before.std is None:
            yield True, f"{where}: {was} before (n = {before.n}), whose noise is not known"
            continue
        level = 1 - 2 * FAMILY_LEVEL / len(chosen)  # one side
        half = quantile_of_t(level, before.n - 1) * before.std
        half *= math.sqrt(1 / now.n + 1 / before.n)
        sign = 1 if column.better == "lower" else -1
        regressed = sign * (now.mean - before.mean) > max(half, ROUNDING * abs(before.mean))
        yield (
            regressed,
            f"{where}: {was} before (n = {before.n}), {now.text(column.digits)} now "
            f"(n = {now.n}), allowed {half:.3g} worse{': REGRESSED' if regressed else ''}",
        )
