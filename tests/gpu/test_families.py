"""Every kind of training on one GPU: resumed to the bit, tried out with its protocols."""

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.config.compose import compose
from benchmarks.runs.folder import Run
from tests.benchmarks.training.test_resume import EXTRAS, assert_resume_is_exact, composed_run
from tests.helpers import KINDS

pytestmark = pytest.mark.gpu
GPU = ("trainer", "data_on_device", "channels_last")


def on_gpu(composed):
    """Put what `trainer=gpu` says in place of what a tiny run has for the CPU."""
    gpu = compose(["experiment=toy/ns_gan", "trainer=gpu"]).cfg
    for key in GPU:
        composed.cfg[key] = gpu[key]
    return composed


@pytest.mark.parametrize("method", [*KINDS, *EXTRAS])
def test_resumed_equals_uninterrupted(method, outputs, monkeypatch):
    composed = on_gpu(composed_run(method))
    assert_resume_is_exact(composed, outputs, monkeypatch)
    record = Run.of(composed).record()
    assert record.cost["device"] == torch.cuda.get_device_name(0)


@pytest.mark.trial
@pytest.mark.parametrize("experiment", KINDS)
def test_the_whole_network_can_be_tried_with_its_protocols(experiment, outputs, capsys):
    code = main(["train", f"experiment={experiment}", "trainer=gpu", "--trial"])
    told = capsys.readouterr()
    if code == 2 and "dgmbench prefetch" in told.err:
        pytest.skip("its data are not here")
    assert code == 0, told.err
