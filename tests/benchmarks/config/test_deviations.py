"""Deviations state numbers of the composed config, and nothing that an override took back."""

import re

import pytest
from omegaconf import OmegaConf

from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose, compose_for, datasets_of, experiment_config
from benchmarks.config.deviations import UNKNOWN, formatted, stated_deviations
from benchmarks.core.errors import UserError


def stated(*overrides):
    composed = compose(overrides)
    return stated_deviations(composed.cfg, composed.overrides)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (96000, "96,000"),
        (1.0, "1"),
        (0.05, ".05"),
        (-0.5, "-.5"),
        (0.001, ".001"),
        (5e-4, "5e-4"),
        (2.5e-5, "2.5e-5"),
        (0.9995, ".9995"),
        (12.5, "12.5"),
        ([100, 50], "100, 50"),
        (True, "True"),
    ],
)
def test_numbers_as_deviations_state_them(value, text):
    assert formatted(value) == text


def test_an_override_changes_what_is_stated():
    name = "experiment=lucic2018/ns_gan_quick"
    assert "96,000 instead of 1,000,000 images seen" in stated(name)
    few = stated(name, "images_seen=1280", "model.generator.network.width=8")
    assert "1,280 instead of 1,000,000 images seen" in few
    assert "width 8, 16 instead of 64" in few
    assert not any("96,000" in d or "width 16" in d for d in few)
    assert {"overridden: images_seen=1280", "overridden: model.generator.network.width=8"} <= set(
        few
    )


def test_what_an_override_takes_back_is_not_stated():
    name = "experiment=lucic2018/began_quick"
    assert "1 instead of 5 discriminator updates per generator update" in stated(name)
    one = ("model.n_critic=5", "model.generator.optimizer.lr=1.0e-4")
    assert "Adam 1e-4, .001 instead of 1e-4" in stated(name, *one)
    found = stated(name, *one, "model.discriminator.optimizer.lr=1.0e-4")
    assert not any("discriminator updates" in d or "Adam" in d for d in found)
    assert "overridden: model.n_critic=5" in found


@pytest.mark.parametrize(
    ("hidden", "text"),
    [
        ([400, 400], "generator layers of 400, 400 instead of 400, 400, 400, 400 units"),
        ([100, 400], "generator layers of 100, 400 instead of 400, 400, 400, 400 units"),
        ([400] * 4, None),
    ],
)
def test_lists_are_compared_as_a_whole(hidden, text):
    found = stated("experiment=lin2018/wgan_quick", f"model.generator.network.hidden={hidden}")
    lines = [d for d in found if d.startswith("generator layers")]
    assert lines == ([] if text is None else [text])


def test_defaults_are_said_to_be_such_only_where_nothing_was_set():
    """A configuration of a search is given by overrides."""
    defaults = "the authors' default hyperparameters, no search"
    name = "experiment=lucic2018/ns_gan"
    assert defaults in stated(name)
    assert defaults in stated(name, "seed=3", "datamodule=mnist")
    assert not any("default" in d for d in stated(name, "model.n_critic=5"))


def test_what_is_missing_is_named_and_not_what_refers_to_it():
    with pytest.raises(UserError, match="^images_seen must be given: experiment lucic2018/ns"):
        compose(["experiment=lucic2018/ns_gan_quick", "datamodule=synthetic"])
    composed = compose(
        ["experiment=oord2016/row_lstm", "datamodule=synthetic", "images_seen=640",
         "model.network.features=12", "model.network.num_blocks=1",
         "model.network.head_features=12"]
    )  # fmt: skip
    assert "640 images seen, since the paper states no budget" in composed.cfg.deviations


def test_settings_that_change_no_training_are_no_deviations():
    name = "experiment=lucic2018/ns_gan_quick"
    plain = stated(name)
    assert stated(name, "datamodule=fashion_mnist_small", "seed=3", "threads=2") == plain
    assert (
        stated(name, "protocols=[]", "log_every_updates=7", "+trainer.detect_anomaly=true")
        == plain
    )
    assert stated(name, "loss@model.loss=hinge")[-1] == "overridden: loss@model.loss=hinge"


NUMBER = re.compile(
    r"(?<![\dx,.])\d[\d,.]* instead of |(?<!1,000,000 )images seen"
    r"|\b(?:width|depth|batches of|momentum|Adam|rate of|clipped at|layers of|decay) [\d.]"
)


@pytest.mark.parametrize("name", names("experiment"))
def test_numbers_come_from_the_config(name):
    own = experiment_config(name)
    for dataset in datasets_of(own):
        cfg = compose_for(name, dataset).cfg
        raw = OmegaConf.to_container(cfg, resolve=False)
        for template, text in zip(
            [*raw["deviations"], *raw["data_deviations"]],
            [*cfg.deviations, *cfg.data_deviations],
            strict=True,
        ):
            assert "${" in template or not NUMBER.search(template), template
            assert "None" not in text
            assert UNKNOWN not in text


def test_a_sentence_about_what_an_override_removed_is_dropped():
    name = "experiment=lucic2018/ns_gan_quick"
    changes = ("model.{}.optimizer._target_=torch.optim.RMSprop", "~model.{}.optimizer.betas")
    players = ("generator", "discriminator")
    removed = [change.format(player) for player in players for change in changes]
    found = stated(name, *removed)
    assert not any("beta1" in d for d in found)
    assert "overridden: ~model.generator.optimizer.betas" in found


@pytest.mark.parametrize(
    ("name", "override", "text"),
    [
        ("oord2016/pixelcnn_quick", "model.optimizer._target_=torch.optim.RMSprop", "RMSProp"),
        ("lucic2018/wgan_quick", "model.discriminator.network.batch_norm=true", "no BatchNorm"),
        ("lucic2018/ns_gan", "+per_dataset.fashion_mnist_small.model={n_critic:5}", "default"),
    ],
)
def test_sentences_about_a_key_are_true_of_it_only(name, override, text):
    assert any(text in d for d in stated(f"experiment={name}"))
    assert any(text in d for d in stated(f"experiment={name}", "seed=1"))
    found = stated(f"experiment={name}", override)
    assert not any(text in d for d in found if "overridden" not in d)
    assert f"overridden: {override}" in found


def test_statements_are_not_taken_away_unseen():
    found = stated("experiment=lucic2018/ns_gan_quick", "deviations=[]", "method=WGAN")
    assert {"overridden: deviations=[]", "overridden: method=WGAN"} <= set(found)
