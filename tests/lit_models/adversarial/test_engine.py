"""The engine with three players and state between updates: what a GAN alone would not show."""

from functools import partial

import torch
from torch import nn

from datamodules.base import BatchStream
from lit_models.adversarial.engine import AdversarialModel
from lit_models.adversarial.player import Player
from lit_models.images import VectorRange
from tests.helpers import bare_trainer


class ThreePlayers(AdversarialModel):
    """Each player pulls its weight towards its own target; b plays twice."""

    def __init__(self):
        sgd = partial(torch.optim.SGD, lr=0.1)
        self.nets = {n: nn.Linear(1, 1, bias=False) for n in "abc"}
        players = {name: Player(net, sgd) for name, net in self.nets.items()}
        super().__init__(players, batch_size=4, data_range=VectorRange())
        self.events = []

    def updates(self, x, labels):
        for name in ("a", "b", "b", "c"):
            before = self.nets[name].weight.item()
            yield {name: partial(self.objective, name)}
            after = self.nets[name].weight.item()
            self.events.append((name, before != after))

    def objective(self, name):
        frozen = {n for n, net in self.nets.items() if not net.weight.requires_grad}
        assert frozen == set("abc") - {name}
        return sum((net.weight - 3).square().sum() for net in self.nets.values())


def fit(steps):
    torch.manual_seed(0)
    model = ThreePlayers()
    data = BatchStream(torch.zeros(8, 1), torch.zeros(8, dtype=torch.long), batch_size=4)
    trainer = bare_trainer(steps)
    trainer.fit(model, data)
    return model, trainer


def test_order_freezing_and_code_after_a_step():
    model, _ = fit(steps=1)
    assert model.events == [("a", True), ("b", True), ("b", True), ("c", True)]


def test_one_training_step_counts_once():
    model, trainer = fit(steps=3)
    assert trainer.global_step == 3
    assert len(model.events) == 12
    assert model.images_seen == 12


def test_every_gradient_is_fresh():
    """B's second step uses its own gradient only: SGD on (w - 3)^2 twice, by hand."""
    torch.manual_seed(0)
    start = [net.weight.item() for net in ThreePlayers().nets.values()]
    model, _ = fit(steps=1)
    end = [net.weight.item() for net in model.nets.values()]

    def step(w):
        return w - 0.1 * 2 * (w - 3)

    expected = [step(start[0]), step(step(start[1])), step(start[2])]
    torch.testing.assert_close(torch.tensor(end), torch.tensor(expected))
