"""Build -> check -> fit -> evaluate -> record. A run that was cut continues by itself."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from errno import EDQUOT, ENOSPC, EROFS

import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from benchmarks.config.compose import Composed, compose_group
from benchmarks.config.identity import protocol_fingerprint
from benchmarks.core.environment import is_first_process
from benchmarks.core.errors import UserError, one_line, user_errors
from benchmarks.core.paths import check_writable
from benchmarks.evaluation.opening import check_data, load_into, run_ids
from benchmarks.evaluation.sources import ModelSource
from benchmarks.loggers.base import Summarizes
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Evaluation, Record
from benchmarks.runs.writer import RunWriter
from benchmarks.training.build import Parts, begin, build, quiet, with_protocols
from benchmarks.training.checks import check_not_begun_before
from benchmarks.training.tracking import BEST
from benchmarks.training.untrained import note_if_nothing_was_learned
from lit_models.callbacks.monitor import DivergedError
from lit_models.callbacks.process_watchdog import ProcessWatchdog
from lit_models.callbacks.settings_agreement import DisagreementError
from lit_models.training.checkpoint_files import SaveError, find_snapshots, snapshot_path
from lit_models.training.interruption import Interrupted

__all__ = ["train"]


class CutShortError(Exception):
    """Something ended the training before its length."""

    def __init__(self, images_seen: int, budget: int) -> None:
        super().__init__(f"the training ended after {images_seen:,} of {budget:,} images")


def train(composed: Composed, bar: bool = True) -> Record:
    """Train, or continue, one run; then do the evaluations that are missing.

    Args:
        composed: The config.
        bar: Whether to draw a progress bar.

    Returns:
        The record, as written.

    Raises:
        UserError: for a mistake in the config, before anything is trained; if another process
            is at this run.
        Interrupted: after a signal (`lit_models.training.interruption`), once all is saved.
    """
    quiet()
    run = Run.of(composed)
    if not is_first_process():  # of all machines: Lightning does not know before it has begun
        rank_zero_only.rank = rank_zero_only.rank or 1  # type: ignore[attr-defined]
    check_not_begun_before(run)
    check_writable(run.folder)
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    with run.locked() if first else nullcontext():
        return _train(composed, run, bar)


def _train(composed: Composed, run: Run, bar: bool) -> Record:
    data = begin(composed)
    composed = with_protocols(composed, data)
    writer = RunWriter.open(composed, run)
    record = writer.record
    check_data(record, data)
    was_finished = record.status == "finished"
    if record.status == "diverged" or (was_finished and not _to_do(writer)):
        return record
    parts = build(writer, data, bar)
    if not was_finished:
        writer.begin(data, parts.model.draws_dropout)
    try:
        _fit(parts)
        if not was_finished:
            _take_stock(writer, parts)
        if parts.model.images_seen < parts.budget:
            raise CutShortError(parts.model.images_seen, parts.budget)
        with user_errors(ValueError):
            _evaluate(writer, parts)
        writer.end("finished", None)
        was_finished = True  # what follows can take nothing from it
        note_if_nothing_was_learned(writer, parts)
    except BaseException as error:
        parts.watchdog.tell(error)
        status, reason = _why(error, parts.watchdog)
        with suppress(OSError):  # a full disk: the cause is told, and the old record is whole
            _write_end(writer, parts, status, reason, was_finished)
        if isinstance(error, SaveError) or _is_full(error):
            raise UserError(one_line(error)) from error
        if isinstance(error, SystemExit):  # Lightning makes this of an interrupt
            raise KeyboardInterrupt from None
        if was_finished or isinstance(error, UserError) or not isinstance(error, Exception):
            raise
        record.status, record.reason = status, reason
    finally:
        parts.watchdog.end()
    _summarize(parts.trainer.loggers, record)
    return record


def _fit(parts: Parts) -> None:
    trainer, model = parts.trainer, parts.model
    with user_errors(DisagreementError):
        trainer.fit(model, datamodule=parts.data, ckpt_path=parts.checkpoint, weights_only=True)
    resumed = None if parts.checkpoint is None else int(parts.checkpoint.stem)
    if model.images_seen not in (parts.checkpoints.saved_at, resumed):
        parts.checkpoints.save(trainer)


def _evaluate(writer: RunWriter, parts: Parts) -> None:
    run, model = writer.run, parts.model
    loaded, images_seen = "last", model.images_seen
    model.to(parts.trainer.strategy.root_device)
    parts.scoring.next_source()
    for name, checkpoint in parts.trainer.strategy.broadcast(_to_do(writer)):
        if checkpoint != loaded:
            images_seen = load_into(model, run.checkpoints, checkpoint, *run_ids(run, run.id))
            loaded = checkpoint
            parts.scoring.next_source()
        draws = writer.composed.cfg.draws if checkpoint == "last" else 1
        source = ModelSource(model)
        writer.keep(parts.scoring(name, source, checkpoint, images_seen, model.weights, draws))


def _to_do(writer: RunWriter) -> list[tuple[str, str]]:
    """Return the (protocol, checkpoint) pairs whose measurement the record lacks, last first."""
    cfg, run = writer.composed.cfg, writer.run
    snapshots = [str(images) for images in find_snapshots(run.checkpoints)]
    wanted = [(name, "last") for name in cfg.protocols]
    if snapshot_path(run.checkpoints, BEST).exists():
        wanted += [(name, BEST) for name in cfg.protocols]
    wanted += [(name, at) for at in snapshots for name in cfg.snapshot_protocols]
    prints = {name: protocol_fingerprint(compose_group("protocol", name)) for name, _ in wanted}
    found = {
        (name, checkpoint): writer.record.evaluation(prints[name], checkpoint, cfg.weights)
        for name, checkpoint in wanted
    }
    return [pair for pair, e in found.items() if e is None or _lacks_draws(e, cfg.draws)]


def _lacks_draws(evaluation: Evaluation, draws: int) -> bool:
    return evaluation.checkpoint == "last" and evaluation.num_draws < draws


# -- the end of a run ----------------------------------------------------------------------------


def _write_end(
    writer: RunWriter, parts: Parts, status: str, reason: str, was_finished: bool
) -> None:
    if status == "failed":
        writer.write_error()
    if not was_finished:  # by an earlier call: then it keeps what it has
        _take_stock(writer, parts)
        writer.end(status, reason)


def _take_stock(writer: RunWriter, parts: Parts) -> None:
    device: torch.device = parts.trainer.strategy.root_device
    writer.take_stock(parts.model, parts.progress.seconds, device, parts.trainer.world_size)


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EROFS)


def _why(error: BaseException, watchdog: ProcessWatchdog) -> tuple[str, str]:
    """Return the status and reason of a run that ended by this error."""
    if isinstance(error, DivergedError):
        return "diverged", str(error)
    if isinstance(error, Interrupted):
        return "interrupted", f"stopped by {error}"
    if isinstance(error, CutShortError):
        return "interrupted", str(error)
    if isinstance(error, SaveError):
        return "failed", one_line(error)
    if isinstance(error, Exception):
        return "failed", watchdog.explain(error) or f"{type(error).__name__}: {one_line(error)}"
    return "interrupted", "interrupted by the user"


def _summarize(loggers: Sequence[Logger], record: Record) -> None:
    last = [e for e in record.evaluations if e.checkpoint == "last"]
    values = {f"{e.protocol}/{k}": v for e in last for k, v in e.metrics.items()}
    for logger in loggers:
        if isinstance(logger, Summarizes):
            logger.summarize(values)
            logger.finalize("success")
