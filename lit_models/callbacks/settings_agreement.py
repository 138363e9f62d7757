"""Processes that were started with different settings end before the first step."""

from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from lightning import Callback, Trainer

from lit_models.training.collectives import world

__all__ = ["DisagreementError", "SettingsAgreement"]


class DisagreementError(ValueError):
    """The processes of one run were started with different settings."""


class SettingsAgreement(Callback):
    """Compares settings over all processes when they meet.

    Args:
        settings: Texts by name, the same on every process.

    Raises:
        DisagreementError: on every process, if they are not.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        if world()[1] == 1:
            return
        found: list[Any] = [None] * world()[1]
        dist.all_gather_object(found, self.settings)
        for name in self.settings:
            values = list(dict.fromkeys(settings[name] for settings in found))
            if len(values) > 1:
                raise DisagreementError(
                    f"{name} must be the same in all processes, got {' and '.join(values)}"
                )
