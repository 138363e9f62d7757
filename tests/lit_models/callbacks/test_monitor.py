"""The monitor logs every N updates with images_seen, and ends a run that is not finite."""

import pytest
import torch
from lightning.pytorch.loggers.logger import DummyLogger

from lit_models.callbacks.monitor import DivergedError, Monitor
from tests.helpers import bare_trainer
from tests.lit_models.adversarial.test_gan import make, stream


class Rows(DummyLogger):
    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))


def fit(every, steps=5, poison_at=None):
    model, logger = make(), Rows()
    if poison_at is not None:
        objective = model.generator_objective

        def poisoned(*given):
            scale = float("nan") if model.images_seen >= poison_at else 1.0
            return objective(*given) * scale

        model.generator_objective = poisoned
    trainer = bare_trainer(steps, logger=logger, callbacks=[Monitor(every)])
    trainer.fit(model, stream(model))
    return logger.rows


def test_every_n_updates_and_at_the_end():
    rows = fit(every=2)
    assert [step for step, _ in rows] == [24, 48, 60]  # 12 images per update
    assert set(rows[0][1]) == {"train/discriminator_loss", "train/generator_loss"}


def test_nan_ends_the_run_at_the_next_check():
    with pytest.raises(DivergedError, match="train/.*_loss = nan after 48 images"):
        fit(every=2, poison_at=24)


def test_it_sees_infinity():
    model = make()
    model.scalars = {"train/loss": torch.tensor(float("inf"))}
    model.images_seen = 7

    class T:
        global_step, max_steps, loggers = 1, 9, ()

    with pytest.raises(DivergedError, match="train/loss = inf after 7 images"):
        Monitor(1).on_train_batch_end(T, model, None, None, 0)
