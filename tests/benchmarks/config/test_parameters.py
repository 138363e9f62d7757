"""Values of a config against the kinds of the parameters that they are given to."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from benchmarks.config.compose import compose
from benchmarks.config.instantiate import check_signatures
from benchmarks.config.parameters import check_kind, parameters
from benchmarks.core.errors import UserError


class Base:
    def __init__(self, width: int, name: str = "x", *, rate: float | None = None) -> None:
        pass


class Part(Base):
    def __init__(
        self,
        network: nn.Module | None,
        kind: Literal["a", "b"],
        sizes: Sequence[int],
        pair: tuple[float | Tensor, Annotated[float, "x"]],
        anything,
        more: Any = None,
        implicit: int = None,  # noqa: RUF013
        **shared: Any,
    ) -> None:
        pass


NAME = f"{__name__}.Part"
GOOD = {
    "width": [3],
    "name": ["", "y"],
    "rate": [None, 1, 0.5],
    "network": [None, {"_target_": "torch.nn.Tanh"}],
    "kind": ["a"],
    "sizes": [[], [1, 2]],
    "pair": [[1, 0.5]],
    "anything": [1, "x", [None]],
    "more": [1, "x", [None]],
    "implicit": [None, 1],
}
BAD = {
    "width": [
        (None, "an integer"),
        (True, "an integer"),
        (1.5, "an integer"),
        ([1], "an integer"),
    ],
    "name": [(3, "a text"), (True, "a text"), (None, "a text")],
    "rate": [("x", "a number or null"), (False, "a number or null"), ([1.0], "a number or null")],
    "kind": [("c", "one of a, b"), (1, "one of a, b")],
    "sizes": [(3, "a list of integers"), ([1.5], "a list of integers"), ("12", "a list of integ")],
    "pair": [([1], "a list of 2 numbers"), ([1, 2, 3], "a list of 2 numbers"), ("x", "a list of")],
    "implicit": [("x", "an integer or null")],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in GOOD.items() for v in vs])
def test_what_a_parameter_takes(name, value):
    check_kind(value, parameters(Part)[name], name)


@pytest.mark.parametrize(("name", "value", "text"), [(n, *v) for n, vs in BAD.items() for v in vs])
def test_what_it_does_not_take_is_told_with_its_key(name, value, text):
    with pytest.raises(UserError, match=f"^model.{name} must be {text}.*, got "):
        check_kind(value, parameters(Part)[name], f"model.{name}")


def test_a_target_that_takes_anything_has_no_parameters_to_compare():
    def anything(**settings):
        pass

    assert parameters(anything) is None
    assert set(parameters(Part)) == set(GOOD)
    assert parameters(torch.optim.Adam)["betas"] == tuple[float, float]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.batch_size=true", "model.batch_size must be an integer, got True"),
        ("model.n_critic=1.5", "model.n_critic must be an integer, got 1.5"),
        ("model.n_critic=x", "model.n_critic must be an integer, got 'x'"),
        (
            "model.generator.optimizer.lr=x",
            "model.generator.optimizer.lr must be a number, got 'x'",
        ),
        (
            "model.generator.optimizer.betas=[0.5]",
            "model.generator.optimizer.betas must be a list of 2 numbers, got [0.5]",
        ),
        (
            "model.discriminator.optimizer.betas=[a,0.9]",
            "model.discriminator.optimizer.betas must be a list of 2 numbers, got ['a', 0.9]",
        ),
        ("model.generator.ema_decay=x", "model.generator.ema_decay must be a number or null"),
    ],
)
def test_overrides_of_another_kind(override, message):
    cfg = compose(["experiment=lucic2018/ns_gan_quick", override]).cfg
    with pytest.raises(UserError) as told:
        check_signatures(OmegaConf.to_container(cfg.model, resolve=True), "model")
    assert str(told.value).startswith(message)
