"""One process of the two-process tests: trains tiny models in float64 and saves what it got.

Usage: ddp_worker.py OUT RANK WORLD_SIZE PORT
"""

import os
import sys
from pathlib import Path

OUT, RANK, WORLD, PORT = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.environ |= {
    "LOCAL_RANK": str(RANK),
    "NODE_RANK": "0",
    "WORLD_SIZE": str(WORLD),
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": PORT,
}

import torch  # noqa: E402

from benchmarks.config.catalogue import flat  # noqa: E402
from benchmarks.config.instantiate import instantiate  # noqa: E402
from benchmarks.evaluation.features.base import Features  # noqa: E402
from benchmarks.evaluation.features.cache import FeatureCache  # noqa: E402
from benchmarks.evaluation.metrics.birthday import Birthday  # noqa: E402
from benchmarks.evaluation.metrics.bits_per_dim import BitsPerDim  # noqa: E402
from benchmarks.evaluation.metrics.class_coverage import ClassCoverage  # noqa: E402
from benchmarks.evaluation.metrics.classifier_score import ClassifierScore  # noqa: E402
from benchmarks.evaluation.metrics.frechet import FrechetDistance  # noqa: E402
from benchmarks.evaluation.metrics.kernel_distance import KernelDistance  # noqa: E402
from benchmarks.evaluation.metrics.memorisation import Memorisation  # noqa: E402
from benchmarks.evaluation.metrics.mode_coverage import ModeCoverage  # noqa: E402
from benchmarks.evaluation.metrics.pair_panel import PairPanel  # noqa: E402
from benchmarks.evaluation.metrics.prdc import PRDC  # noqa: E402
from benchmarks.evaluation.metrics.share_within import ShareWithin  # noqa: E402
from benchmarks.evaluation.protocols.samples import SampleProtocol  # noqa: E402
from lit_models.callbacks.checkpoints import Checkpoints  # noqa: E402
from lit_models.callbacks.monitor import DivergedError, Monitor  # noqa: E402
from lit_models.callbacks.settings_agreement import DisagreementError, SettingsAgreement  # noqa: E402
from lit_models.networks.norm import GlobalBatchNorm  # noqa: E402
from lit_models.training.distributed import ReplicatedStrategy, average_gradients  # noqa: E402
from tests.helpers import (  # noqa: E402
    KINDS,
    METHODS,
    bare_trainer,
    measured,
    run_of_processes,
    tiny_run,
)

STEPS = 20


def trainer_for(steps, **settings):
    if WORLD == 1:
        return bare_trainer(steps, **settings)
    strategy = ReplicatedStrategy(process_group_backend="gloo")
    return bare_trainer(steps, devices=WORLD, strategy=strategy, **settings)


def build(method):
    """Build a method, or an experiment, as 1, 2 and 3 processes can share it."""
    cfg = run_of_processes(METHODS.get(method, method), STEPS)
    torch.manual_seed(RANK)  # ranks start apart: the strategy must bring them together
    if RANK == 0:
        torch.manual_seed(0)
    model = instantiate(cfg.model, "model")
    data = instantiate(cfg.datamodule, "datamodule")
    data.setup()
    return model, data


def train_all():
    for experiment in KINDS:
        model, data = build(experiment)
        half = Checkpoints(OUT / f"half-of{WORLD}" / experiment, model.images_per_step * 10, "x")
        trainer = trainer_for(STEPS, precision="64-true", callbacks=[half])
        trainer.fit(model, datamodule=data)
        torch.save(model.state_dict(), OUT / f"{flat(experiment)}-{RANK}of{WORLD}.pt")


def metrics():
    """Chunks of 7 out of 50 samples: the counts do not divide."""
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(50, 5, generator=rng), torch.randn(50, 5, generator=rng) + 1
    logits = torch.randn(50, 4, generator=rng)
    frechet, score = FrechetDistance(5), ClassifierScore(4, num_samples=50, num_splits=3)
    bits, share = BitsPerDim(), ShareWithin(1.0)
    for i, index in enumerate(torch.arange(50).split(7)):
        if i % WORLD == RANK:
            frechet.update(Features(real[index]), index, "real")
            frechet.update(Features(fake[index]), index)
            score.update(Features(fake[index], logits[index]), index)
            bits.update(logits[index, 0], num_dims=3)
            share.update(fake[index, 0])
    values = [float(m.compute()) for m in (frechet, score, bits, share)]
    values += several(real, fake, logits)
    torch.save(values, OUT / f"metrics-{RANK}of{WORLD}.pt")


def several(real, fake, logits):
    """Metrics of several values."""
    held = [PairPanel(1, 2, 5, 20, 0), Birthday(10), Memorisation(0.1), ClassCoverage(4, False)]
    modes = ModeCoverage(real[:3].numpy(), 1.0, num_std=3, kl_of_high_quality=False)
    for i, index in enumerate(torch.arange(50).split(7)):
        if i % WORLD == RANK:
            for metric in held:
                for side, x in (("real", real), ("fake", fake), ("train", real + 0.5)):
                    metric.update(Features(x[index], logits[index] + x[index, :4]), index, side)
            modes.update(fake[index])
    return [float(value) for metric in (*held, modes) for value in metric.compute().values()]


def protocol():
    """A whole evaluation of 1,001 samples in chunks of 90, shared among the processes."""

    class Source:
        device = torch.device("cpu")

        broken = False

        def __call__(self, index, generator):
            if self.broken and index.start == 0:  # in the first process's share
                return torch.full((len(index), 1, 8, 8), float("nan"))
            return torch.rand(len(index), 1, 8, 8, generator=generator) * 255

    cfg = tiny_run(METHODS["pixel_cnn"]).cfg.datamodule
    cfg.test_size = 40
    data = instantiate(cfg, "data")
    data.setup()
    settings = {
        "extractor": lambda x: Features(torch.nn.functional.avg_pool2d(x, 4).flatten(1)),
        "real_split": "test",
        "num_real": 40,
        "num_samples": 1001,
        "round_to_uint8": False,
        "seed": 42,
        "chunk_size": 90,
        "with_train": True,
    }
    kinds = {
        "fd": lambda: FrechetDistance(4),
        "kernel": lambda: KernelDistance(5, 20, seed=0),
        "prdc": lambda: PRDC(1, 2),
        "memorisation": lambda: Memorisation(0.1),
    }
    measure, again = (
        SampleProtocol(metrics={name: kind() for name, kind in kinds.items()}, **settings)
        for _ in "ab"
    )
    cache = FeatureCache(OUT / f"real-of{WORLD}", "pooled pixels", ["made up"])
    scores = [measured(measure, Source(), data, cache) for measure in (measure, again)]
    few = {**settings, "num_samples": 5, "num_real": 7, "with_train": False}  # all in one process
    metrics = {"prdc": PRDC(1, 2)}
    scores.append(measured(SampleProtocol(metrics=metrics, **few), Source(), data))
    torch.save(scores, OUT / f"protocol-{RANK}of{WORLD}.pt")
    nan = Source()
    nan.broken = True
    try:
        measured(again, nan, data, cache)
        message = "none"
    except DivergedError as error:
        message = str(error)
    torch.save(message, OUT / f"nan-{RANK}of{WORLD}.pt")


def bf16():
    """BatchNorm over the global batch under autocast."""
    model, data = build("ns_gan")
    trainer_for(2, precision="bf16-mixed").fit(model, datamodule=data)
    torch.save(model.state_dict(), OUT / f"bf16-{RANK}of{WORLD}.pt")


def batch_norm():
    """Three steps of a BatchNorm on this process's rows: its outputs and running statistics."""
    norm = GlobalBatchNorm(3, eps=1e-3, momentum=0.1).double()
    rng = torch.Generator().manual_seed(0)
    for _ in range(3):
        x = torch.randn(8, 3, 2, 2, generator=rng, dtype=torch.float64) + 5
        y = norm(x.chunk(WORLD)[RANK])
    kept = {"y": y.detach(), "mean": norm.running_mean, "var": norm.running_var}
    torch.save(kept, OUT / f"norm-{RANK}of{WORLD}.pt")


def disagreement():
    """Gradients that some ranks lack are noticed on every rank, also after a good step."""
    if WORLD == 1:
        return
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    differs, averages = [], []
    for held_by in ({0, 1}, {0}, {1}, set()):
        layer.weight.grad = torch.full_like(layer.weight, float(RANK))
        layer.bias.grad = torch.ones_like(layer.bias) if RANK in held_by else None
        differs.append(bool(average_gradients(optimizer)))
        averages.append(layer.weight.grad.item())
    torch.save([differs, averages], OUT / f"disagreement-{RANK}of{WORLD}.pt")


def large_gradients():
    """One that is exchanged where it lies, one that must be copied first, and a small one."""
    shapes = [(2, 2**17), (2**17, 2), (3,)]
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for i, p in enumerate(parameters):
        grad = torch.arange(p.numel(), dtype=p.dtype).view_as(p) + RANK - (WORLD - 1) / 2
        p.grad = grad.t().contiguous().t() if i == 1 else grad
    if WORLD > 1:
        average_gradients(torch.optim.SGD(parameters, lr=0.1))
    torch.save([p.grad for p in parameters], OUT / f"large-{RANK}of{WORLD}.pt")


def disagreement_in_training():
    """The strategy turns it into an error (no BatchNorm here: its backward talks, too)."""
    if WORLD == 1:
        return
    model, data = build("pixel_cnn")
    plain = model.train_step

    def uneven(x, labels):
        loss = plain(x, labels)
        if RANK == 0 and model.images_seen == 24:
            loss = loss.detach() + model.network.layers[0].weight.sum()
        return loss

    model.train_step = uneven
    try:
        trainer_for(6).fit(model, datamodule=data)
        message = "none"
    except RuntimeError as error:
        message = str(error)
    torch.save(message, OUT / f"uneven-{RANK}of{WORLD}.pt")


def different_configs():
    """Processes that were started with different seeds end before the first step."""
    if WORLD == 1:
        return
    model, data = build("vae")
    agreement = SettingsAgreement({"protocols": "", "run id": f"r-s{RANK}"})
    try:
        trainer_for(1, callbacks=[agreement]).fit(model, datamodule=data)
        message = "none"
    except DisagreementError as error:
        message = str(error)
    torch.save([message, model.images_seen], OUT / f"configs-{RANK}of{WORLD}.pt")


def divergence():
    """NaN on one rank ends all ranks."""
    model, data = build("vae")
    monitor = Monitor(1)
    end = monitor.on_train_batch_end

    def poisoned(trainer, pl_module, *rest):
        if RANK == 0 and trainer.global_step == 3:
            pl_module.track(loss=torch.tensor(float("nan")))
        end(trainer, pl_module, *rest)

    monitor.on_train_batch_end = poisoned
    try:
        trainer_for(6, callbacks=[monitor]).fit(model, datamodule=data)
        message = "none"
    except DivergedError as error:
        message = str(error)
    torch.save(message, OUT / f"divergence-{RANK}of{WORLD}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_all()
    if WORLD == 3:
        sys.exit()
    metrics()
    protocol()
    bf16()
    batch_norm()
    large_gradients()
    disagreement()
    disagreement_in_training()
    different_configs()
    divergence()
