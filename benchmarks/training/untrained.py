"""A note on a run whose score is no better than that of the untrained model."""

from collections.abc import Mapping
from contextlib import suppress

from benchmarks.evaluation.sources import ModelSource
from benchmarks.runs.writer import RunWriter
from benchmarks.training.build import Parts, build_model

__all__ = ["note_if_nothing_was_learned"]

MOST_COMPARED = 3000  # samples or images of a score that is also taken of the untrained model


def note_if_nothing_was_learned(writer: RunWriter, parts: Parts) -> None:
    """Note a first score that is no better than the untrained model's.

    A learning rate of 1,000 may leave every loss finite, and so a run that finishes. Only where
    the score is of few samples or images, on one process; a fault here takes nothing from the run.
    """
    cfg, scoring = writer.composed.cfg, parts.scoring
    if not cfg.protocols or parts.budget == 0 or parts.trainer.world_size > 1:
        return
    built = scoring.protocols[str(cfg.protocols[0])]
    main = built.protocol.main_value
    trained = writer.record.evaluation(built.fingerprint, "last", cfg.weights)
    if trained is None or main is None or built.protocol.num_scored(parts.data) > MOST_COMPARED:
        return
    with suppress(Exception):  # no score to compare with
        untrained = build_model(cfg, parts.data, {}).to(parts.trainer.strategy.root_device)
        scoring.next_source()
        before = scoring(built.name, ModelSource(untrained), "initial", 0, untrained.weights)
        writer.record.notes = _no_better(built.name, main, before.metrics, trained.metrics)
        writer.write()


def _no_better(
    protocol: str,
    main: tuple[str, bool],
    before: Mapping[str, float | None],
    after: Mapping[str, float | None],
) -> list[str]:
    name, higher_is_better = main
    old, new = before.get(name), after.get(name)
    if old is None or new is None or (new > old if higher_is_better else new < old):
        return []
    return [f"{protocol}: {name} {new:.5g} is no better than the untrained model's {old:.5g}"]
