"""`dgmbench reproduce`: a record's run done again, and compared with it."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import open_dict

from benchmarks.config.compose import compose
from benchmarks.config.deviations import override_key
from benchmarks.config.identity import IDENTITY_KEYS, run_id, without_seed
from benchmarks.config.instantiate import check_interpolations, check_trusted_config
from benchmarks.core.errors import UserError
from benchmarks.core.paths import outputs_dir, working_in
from benchmarks.runs.bits import compared
from benchmarks.runs.changes import changes, line_of
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record, readable_record, records_at
from benchmarks.training.train import train
from datamodules.root import expanded

__all__ = ["reproduce"]

# of a record's overrides: given otherwise, or nothing that determines a result
NOT_REPEATED = ("experiment", "datamodule", "seed", "protocols", "draws")
NEVER_REPEATED = ("trainer", "logger", "callbacks")
REPEATED = (*IDENTITY_KEYS, "revision", "threads", "channels_last", "compile", "weights")


def reproduce(path: str) -> int:
    """Do a record's run again, in a folder of its own, and say whether its scores agree.

    On the machine type of the record the same bits must come out; on another one each score must
    lie in the spread of the record's seeds (see `runs.bits`).

    Returns:
        0 if so, else 1.

    Raises:
        UserError: if it is no record of a training run, or its config is another one today.
    """
    place = expanded(path, "RECORD")
    (old,) = _one(records_at(place), path)
    if old.without_digest:
        print(f"{path} has no digest: it may have been changed since it was written")
    if old.experiment == "images":
        raise UserError(f"{path} must be the record of a training run, got one of images")
    given = [f"experiment={old.experiment}", f"datamodule={old.dataset}", f"seed={old.seed}"]
    protocols = ",".join(dict.fromkeys(e.protocol for e in old.evaluations))
    composed = compose([*given, *_repeated(old.overrides, path), f"protocols=[{protocols}]"])
    check_trusted_config(composed.cfg, path)  # a record may be a stranger's
    clean = compose(given).cfg
    with open_dict(composed.cfg):  # these are built without that check: as they stand here
        for key in NEVER_REPEATED:
            composed.cfg[key] = clean[key]
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
    for name, before, now in _conditions(old, new):
        print(f"{name}: {before} before, {now} now")
    result = compared(old, new, _seeds_of(old, place))
    is_empty = not found and old.status == "finished"
    agrees = result.is_good and not lost and not is_empty
    text = "nothing was scored" if is_empty else result.text
    print(f"{'reproduced' if agrees else 'not reproduced'}: {text}")
    return 0 if agrees else 1


def _seeds_of(record: Record, path: Path) -> list[Record]:
    """Return the records of all seeds of a record's configuration that lie beside it."""
    beside = path.parent if path.is_file() and path.name != "record.json" else path.parent.parent
    stem = (record.experiment, record.dataset, without_seed(record.run_id))
    found = [r for p in _record_files(beside) if (r := readable_record(p)) is not None]
    return [r for r in found if (r.experiment, r.dataset, without_seed(r.run_id)) == stem]


def _record_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.json"), *folder.glob("*/record.json")])


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
    for name in ("device", "instructions", "threads", "processes"):
        if old.cost.get(name) != new.cost.get(name):
            yield name, old.cost.get(name), new.cost.get(name)
    for name in sorted(old.versions.keys() | new.versions.keys()):
        if old.versions.get(name) != new.versions.get(name):
            yield name, old.versions.get(name), new.versions.get(name)
