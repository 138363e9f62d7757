"""What a model can be asked: told by its members, and refused by name."""

import pytest
import torch

from lit_models.capabilities import (
    HasCodes,
    HasEncoder,
    HasLikelihood,
    HasStochasticLayers,
    Samples,
    check_contract,
    has,
    require,
)
from tests.helpers import METHODS, tiny_run

HAS = {
    "ns_gan": {Samples, HasCodes},
    "began": {Samples, HasCodes},
    "vae": {Samples, HasCodes, HasEncoder, HasLikelihood, HasStochasticLayers},
    "pixel_cnn": {Samples, HasLikelihood},
}
ALL = (Samples, HasCodes, HasEncoder, HasLikelihood, HasStochasticLayers)


@pytest.mark.parametrize("method", HAS)
def test_models_of_the_suite(method):
    from benchmarks.config.instantiate import instantiate

    with torch.device("meta"):
        model = instantiate(tiny_run(METHODS[method]).cfg.model, "model")
    assert {capability for capability in ALL if has(model, capability)} == HAS[method]
    check_contract(model)


def test_parts_that_torch_gives_by_getattr_count():
    """From Python 3.12 on `isinstance` with a Protocol would not see a module's modules."""

    class OfModules(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.prior = torch.nn.Identity()

        def decode(self, z):
            return z

    assert has(OfModules(), HasCodes)


class Half:
    """It has a log-likelihood, and does not say of which kind."""

    dequantised, trained_by = False, None

    def log_likelihood(self, x, generator=None, num_importance_samples=1, labels=None):
        return x


def test_a_part_of_a_capability_is_named():
    message = "Half must have likelihood_kind as well to have a likelihood, got dequantised, "
    with pytest.raises(ValueError, match=message):
        check_contract(Half())
    Half.likelihood_kind = "exact"
    try:
        check_contract(Half())
        require(Half(), HasLikelihood)
    finally:
        del Half.likelihood_kind


def test_a_refusal_names_what_is_missing_and_what_there_is():
    class Nothing:
        pass

    with pytest.raises(ValueError, match="a model with samples and latent codes; Nothing has not"):
        require(Nothing(), Samples, HasCodes)
