"""Every experiment composes, builds and trains on every data set it is for."""

import pytest
import torch
from omegaconf import OmegaConf

from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose, compose_group, datasets_of, experiment_config
from benchmarks.config.identity import run_id
from benchmarks.config.instantiate import check_signatures, instantiate
from benchmarks.core.errors import UserError
from benchmarks.core.paths import CONFIGS
from benchmarks.tables.spec import load_published
from benchmarks.training.train import train
from lit_models.autoregressive.sampling import first_pixels_only
from tests.helpers import parts_of, tiny_run

EXPERIMENTS = names("experiment")
CELLS = [(e, d) for e in EXPERIMENTS for d in datasets_of(compose([f"experiment={e}"]).cfg)]


def shapes_of(experiment):
    """One data set of each shape: the others would train the same network."""
    found = {}
    for dataset in (d for e, d in CELLS if e == experiment):
        data = compose_group("datamodule", dataset)
        shape = data.get("image_shape", data.get("event_shape"))
        own = experiment_config(experiment).per_dataset[dataset]
        found.setdefault((str(shape), data.get("num_levels"), str(own.get("model"))), dataset)
    return [(experiment, dataset) for dataset in found.values()]


@pytest.mark.parametrize(
    ("experiment", "dataset"), [cell for e in EXPERIMENTS for cell in shapes_of(e)]
)
def test_two_batches_of_synthetic_data(experiment, dataset, outputs):
    composed = tiny_run(experiment, [f"datamodule={dataset}"], batch_size=2, steps=2)
    with first_pixels_only(2):  # of the pictures, which have tests of their own
        record = train(composed, bar=False)
    assert (record.status, record.reason) == ("finished", None)
    assert record.counters["updates"] == 2
    assert record.dataset == dataset


@pytest.mark.parametrize(("experiment", "dataset"), CELLS)
def test_it_builds_at_full_size(experiment, dataset):
    cfg = compose([f"experiment={experiment}", f"datamodule={dataset}"]).cfg
    with torch.device("meta"):
        model = instantiate(cfg.model, "model")
    assert all(p.device.type == "meta" for p in model.parameters())
    assert cfg.images_seen == 0 or cfg.images_seen >= model.images_per_step
    for protocol in cfg.protocols:
        assert protocol in names("protocol")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_it_names_its_method_paper_and_row(experiment):
    cfg = compose([f"experiment={experiment}"]).cfg
    assert cfg.method
    assert "arXiv" in cfg.paper
    head = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    assert head[0] == "# @package _global_"
    assert head[1].startswith("# ")
    if cfg.row is not None:
        source, row = cfg.row.split("/")
        assert row in load_published()[source]["rows"]
    if experiment.endswith("_quick") and not experiment.startswith("untrained"):
        assert cfg.row is None  # a reduced row is no row of the paper
        assert cfg.deviations


def test_another_schedule_makes_no_other_kind_of_training():
    texts = [(CONFIGS / "experiment" / f"{e}.yaml").read_text() for e in EXPERIMENTS]
    assert any("Schedule\n" in text for text in texts)
    assert not [(e, p) for e in EXPERIMENTS for p in parts_of(e) if p.endswith("Schedule")]


def test_an_identity_is_its_own():
    ids = [run_id(compose([f"experiment={e}"]).cfg) for e in EXPERIMENTS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("group", ["protocol", "datamodule", "trainer", "loss", "penalty"])
def test_every_key_of_a_group_is_a_setting_of_its_class(group):
    for name in names(group):
        cfg = OmegaConf.to_container(compose_group(group, name))
        cfg = cfg.get(group, cfg)  # a trainer may set top-level keys beside its own
        check_signatures(cfg, f"{group} {name}")
        with pytest.raises(UserError, match=f"{name}.misspelt is no setting"):
            check_signatures({**cfg, "misspelt": 1}, f"{group} {name}")


def test_paper_values_of_the_lucic_rows():
    """Defaults of the authors' published code."""
    expected = {  # learning rate, beta1, n_critic, clip, penalty weight, BatchNorm in D, same z
        "ns_gan": (5e-5, 0.0, 1, None, None, True, True),
        "wgan": (5e-5, 0.5, 5, 0.01, None, True, True),
        "wgan_gp": (1e-4, 0.5, 5, None, 10.0, False, False),
    }
    for name, values in expected.items():
        model = compose([f"experiment=lucic2018_{name}"]).cfg.model
        found = (
            model.discriminator.optimizer.lr,
            model.discriminator.optimizer.betas[0],
            model.n_critic,
            model.discriminator.weight_clip,
            model.penalty and model.penalty.weight,
            model.discriminator.network.batch_norm,
            model.reuse_noise,
        )
        assert found == values
        assert model.generator.optimizer == model.discriminator.optimizer
        assert (model.batch_size, model.prior.dim, model.generator.network.width) == (64, 64, 64)
