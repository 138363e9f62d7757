"""What a table's missing runs will cost, from what runs of their kind have cost."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.config.catalogue import flat
from benchmarks.core.paths import results_dir
from benchmarks.runs.record import Record, readable_record
from benchmarks.tables.plan.planned_run import Key, PlannedRun
from benchmarks.tables.plan.rates import kept_rates

__all__ = ["Rates", "describe_work", "device_hours", "known_rates", "measured_rates"]

FEW = 3  # records that a rate is taken from
Rates = Mapping[tuple[str, str], float]  # device-seconds per image, by experiment and data set


def measured_rates(records: Iterable[Record]) -> dict[tuple[str, str], float]:
    """Return device-seconds per image of training, by experiment and data set."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for record in records:
        seconds, images = record.cost.get("seconds"), record.counters.get("images_seen")
        if seconds and images:
            device_seconds = seconds * record.cost.get("processes", 1)
            found.setdefault((record.experiment, record.dataset), []).append(
                (device_seconds, images)
            )
    return {
        kind: sum(s for s, _ in pairs) / sum(i for _, i in pairs) for kind, pairs in found.items()
    }


def known_rates(
    runs: Iterable[PlannedRun], records: Mapping[Key, Record]
) -> dict[tuple[str, str], float]:
    """Return the rates of the records, else of others that are published, else those measured."""
    found = measured_rates(records.values())
    kept = kept_rates()
    for kind in {(run.experiment, run.dataset) for run in runs} - found.keys():
        paths = results_dir().glob(f"*/records/{flat(kind[0])}-{kind[1]}-*.json")
        others = [r for path in sorted(paths)[:FEW] if (r := readable_record(path)) is not None]
        own = measured_rates(others)
        found |= own or ({kind: kept[kind]} if kind in kept else {})
    return found


def device_hours(run: PlannedRun, rates: Rates) -> float | None:
    """Return what a run's training costs; None where no run of its kind was measured."""
    rate = rates.get((run.experiment, run.dataset), None if run.images_seen else 0.0)
    return None if rate is None else rate * run.images_seen / 3600


def describe_work(
    missing: Sequence[PlannedRun], everyone: Sequence[PlannedRun], rates: Rates
) -> list[str]:
    """Return lines that name the missing runs, their device-hours and their disk space.

    Evaluation is not counted: it depends on the protocol, and on what else is at work.
    """
    sizes = _sizes(everyone)
    lines, hours, size = [], 0.0, 0.0
    unknown, unsized = 0, 0
    for run in missing:
        kind, own = (run.experiment, run.dataset), device_hours(run, rates)
        cost = "unknown cost" if own is None else f"{own:.2f} device-hours"
        hours += own or 0.0
        unknown += own is None
        if run.images_seen == 0:
            cost = "no training"
        size += sizes.get(kind, 0.0)
        unsized += kind not in sizes
        lines.append(f"  {run.label}: {'/'.join(run.key)}, {cost}")
    total = f"{len(missing)} runs, {hours:.2f} device-hours of training"
    total += f"; unknown for {unknown} runs (none of their kind was measured)" if unknown else ""
    disk = f"disk: {size / 1e9:.2f} GB"
    if unsized:
        known = f"{disk}, " if size else "disk: "
        disk = f"{known}unknown for {unsized} runs (none of their kind lies here)"
    return [*lines, total, disk]


def _sizes(runs: Sequence[PlannedRun]) -> dict[tuple[str, str], float]:
    """Return the bytes of the run folders there are, means by experiment and data set."""
    found: dict[tuple[str, str], list[int]] = {}
    for run in runs:
        if run.run.record_path.exists():
            found.setdefault((run.experiment, run.dataset), []).append(_size(run.run.folder))
    return {kind: sum(sizes) / len(sizes) for kind, sizes in found.items()}


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
