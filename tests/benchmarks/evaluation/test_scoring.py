"""Scores: chunks, rounding, cached real features, images from elsewhere, snapshots, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError
from benchmarks.core.paths import CONFIGS
from benchmarks.evaluation.evaluate import evaluate_images, evaluate_run
from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.features.lenet import LeNetFashion
from benchmarks.evaluation.metrics.class_coverage import ClassCoverage
from benchmarks.evaluation.metrics.classifier_score import ClassifierScore
from benchmarks.evaluation.metrics.frechet import FrechetDistance
from benchmarks.evaluation.metrics.prdc import PRDC
from benchmarks.evaluation.opening import load_model
from benchmarks.evaluation.protocols.samples import SampleProtocol
from benchmarks.evaluation.scoring import build_protocols, feature_cache
from benchmarks.evaluation.sources import TensorSource
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from benchmarks.training.train import train
from lit_models.callbacks.monitor import DivergedError
from tests.benchmarks.training.test_resume import Killed, composed_run, kill_after
from tests.helpers import METHODS, measured, tiny_run

DATA = compose_group("datamodule", "fashion_mnist_small")
LENET = "fd_lenet_2k_test2k"
CFG_SHA256 = compose_group("extractor", "lenet_fashion").weights_sha256


@pytest.fixture(scope="module")
def data():
    module = instantiate(DATA, "data")
    module.setup()
    return module


def mean_pixels(images):
    """A stand-in extractor: means of the four quadrants."""
    return Features(torch.nn.functional.avg_pool2d(images, 14).flatten(1))


mean_pixels.version = 1


def protocol(**settings):
    values = {
        "extractor": mean_pixels,
        "metrics": {"fd": FrechetDistance(4)},
        "real_split": "test",
        "num_real": 300,
        "num_samples": 100,
        "round_to_uint8": False,
        "seed": 42,
        "chunk_size": 30,
    }
    return SampleProtocol(**{**values, **settings})


class Recorded:
    """A source that remembers what it was asked for."""

    device = torch.device("cpu")

    def __init__(self, level=100.4):
        self.calls, self.level = [], level

    def __call__(self, index, generator):
        noise = torch.rand(len(index), 1, 28, 28, generator=generator)
        self.calls.append((index, noise[0, 0, 0, 0].item()))
        return noise * 100 + self.level


def test_chunks_have_generators_of_their_own(data):
    source = Recorded()
    first = measured(protocol(), source, data)
    assert [c[0] for c in source.calls] == [
        range(0, 30),
        range(30, 60),
        range(60, 90),
        range(90, 100),
    ]
    assert len({c[1] for c in source.calls}) == 4
    assert measured(protocol(), Recorded(), data) == first
    assert measured(protocol(seed=43), Recorded(), data) != first


def test_rounding_is_a_field(data):
    seen = {}
    for rounding in (False, True):

        def extractor(images, rounding=rounding):
            seen[rounding] = images
            return mean_pixels(images)

        measured(protocol(extractor=extractor, round_to_uint8=rounding), Recorded(), data)
    assert torch.equal(seen[True], seen[False].round())
    assert not torch.equal(seen[True], seen[False])


def test_kept_real_features_give_the_same_score(data, tmp_path):
    cache = FeatureCache(tmp_path / "real", "mean pixels", ["fashion"])
    first = measured(protocol(), Recorded(), data, cache)
    assert cache.path("test", 300, 42).exists()
    images = []

    def extractor(x):
        images.append(len(x))
        return mean_pixels(x)

    assert measured(protocol(extractor=extractor), Recorded(), data, cache) == first
    assert sum(images) == 100  # no real image was looked at again


def test_samples_that_are_not_finite_are_refused(data):
    with pytest.raises(DivergedError, match="samples are not finite"):
        measured(protocol(), Recorded(level=float("nan")), data)


# -- the verbs -----------------------------------------------------------------------------------


def test_the_floor_and_the_identity(outputs):
    floor = evaluate_images("train", DATA, [LENET])
    same = evaluate_images("test", DATA, [LENET])
    assert 0.1 < floor.evaluations[0].metrics["fd_lenet"] < 5
    # roots of eigenvalues that are zero but for rounding (features that never fire)
    assert same.evaluations[0].metrics["fd_lenet"] == pytest.approx(0, abs=1e-4)
    assert floor.run_id != same.run_id
    assert list(outputs.glob("images/fashion_mnist_small/*/record.json"))


def test_a_folder_and_an_npz_equal_the_split_they_hold(outputs, tmp_path, data):
    pixels = data.split("test")[0].numpy()[:, 0]
    folder = tmp_path / "made elsewhere"
    folder.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i:05}.png")
    np.savez(tmp_path / "made.npz", images=pixels)
    for source in (folder, tmp_path / "made.npz"):
        record = evaluate_images(str(source), DATA, [LENET])
        assert record.evaluations[0].metrics["fd_lenet"] == pytest.approx(0, abs=1e-4)
        assert str(tmp_path) not in record.to_json()


@pytest.mark.parametrize(
    ("count", "message"),
    [(0, "must hold image files .* got none"), (3, "needs at least 2000 images, got 3")],
)
def test_too_few_images_are_refused(outputs, tmp_path, count, message):
    for i in range(count):
        Image.fromarray(np.full((28, 28), 255, np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(UserError, match=message):
        evaluate_images(str(tmp_path), DATA, [LENET])


def test_no_such_images(outputs):
    with pytest.raises(UserError, match="images must be one of train, validation, test, a folder"):
        evaluate_images("nowhere", DATA, [LENET])


def test_a_run_is_scored_without_training_and_at_a_snapshot(outputs):
    composed = tiny_run(METHODS["pixel_cnn"])
    composed.cfg.snapshot_every_images = 16
    trained = train(composed, bar=False)
    assert trained.evaluations == []
    folder = Run.of(composed).folder
    last = evaluate_run(folder, ["bits_per_dim_test"])
    both = evaluate_run(folder, ["bits_per_dim_test"], checkpoint="16")
    assert [e.checkpoint for e in both.evaluations] == ["last", "16"]
    assert [e.images_seen for e in both.evaluations] == [32, 16]
    assert both.evaluations[0] == last.evaluations[0]
    assert both.evaluations[0].metrics != both.evaluations[1].metrics
    assert both.cost == trained.cost
    with pytest.raises(UserError, match="checkpoint must be one of last, 16, 32, got '17'"):
        evaluate_run(folder, ["bits_per_dim_test"], checkpoint="17")


def test_a_score_of_an_unfinished_run_is_not_its_last(outputs, monkeypatch):
    composed = composed_run("pixel_cnn")
    composed.cfg.protocols = ["bits_per_dim_test"]
    with monkeypatch.context() as patch:
        kill_after(patch, 6)
        with pytest.raises(Killed):
            train(composed, bar=False)
    peek = evaluate_run(Run.of(composed).folder, ["bits_per_dim_test"])
    assert [(e.checkpoint, e.images_seen) for e in peek.evaluations] == [("32", 32)]
    record = train(composed, bar=False)
    found = [(e.checkpoint, e.images_seen) for e in record.evaluations]
    assert found == [("32", 32), ("last", 56)]


def test_a_snapshot_of_a_gan_holds_what_sampling_needs(outputs):
    composed = tiny_run(METHODS["ns_gan"])
    composed.cfg.snapshot_every_images = 16
    train(composed, bar=False)
    run = Run.of(composed)
    (cfg,) = [OmegaConf.load(run.config_path)]
    whole, _ = load_model(cfg, run, "last")
    part, images_seen = load_model(cfg, run, "32")
    assert images_seen == 32
    draws = [m.sample(3, torch.Generator().manual_seed(0)) for m in (whole, part)]
    assert torch.equal(*draws)


def test_truncated_images_and_values_of_the_data_set(outputs, tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK cut")
    with pytest.raises(UserError, match="truncated or no npz file"):
        evaluate_images(str(tmp_path / "x.npz"), DATA, [LENET])
    assert main(["evaluate", "images=train", "datamodule=npz", f"protocol={LENET}"]) == 2
    overrides = ["datamodule.validation_size=5", f"protocol={LENET}", "images=train"]
    assert main(["evaluate", "datamodule=fashion_mnist_small", *overrides]) == 0


def test_a_model_without_likelihood_is_told_so(outputs):
    composed = tiny_run(METHODS["ns_gan"])
    train(composed, bar=False)
    with pytest.raises(UserError, match="needs a model with a likelihood"):
        evaluate_run(Run.of(composed).folder, ["bits_per_dim_test"])


def test_a_folder_that_is_no_run(outputs, tmp_path):
    with pytest.raises(UserError, match="RUN must be a run's folder"):
        evaluate_run(tmp_path, ["bits_per_dim_test"])


def test_every_snapshot_is_scored_after_training(outputs):
    """Each by its own weights, once; asked for later, without training again."""
    overrides = ["snapshot_every_images=16", "protocols=[bits_per_dim_test]"]
    composed = tiny_run("oord2016/pixelcnn_quick", overrides)
    composed.cfg.protocols = ["bits_per_dim_test"]
    train(composed, bar=False)
    composed.cfg.snapshot_protocols = ["bits_per_dim_test"]
    record = train(composed, bar=False)
    found = {e.checkpoint: e for e in record.evaluations}
    assert list(found) == ["last", "16", "32"]
    assert [found[c].images_seen for c in ("16", "32")] == [16, 32]
    values = [e.metrics["bits_per_dim"] for e in record.evaluations]
    assert values[0] == values[2]  # the last step is a snapshot
    assert values[1] != values[2]
    run = Run.of(composed)
    by_hand = evaluate_run(run.folder, ["bits_per_dim_test"], "16")
    assert {e.checkpoint: e for e in by_hand.evaluations}["16"].metrics == found["16"].metrics
    before = run.record_path.read_bytes()
    train(composed, bar=False)  # nothing is left to do
    assert run.record_path.read_bytes() == before


def test_snapshots_to_score_must_be_kept(outputs):
    composed = tiny_run("oord2016/pixelcnn_quick")
    composed.cfg.snapshot_protocols = ["bits_per_dim_test"]
    with pytest.raises(UserError, match="snapshot_every_images must be given with snapshot_proto"):
        train(composed, bar=False)


def test_protocols_with_one_extractor_compute_features_once(outputs, monkeypatch):
    """Two protocols give what each gives alone; the second needs no new features."""
    calls = []
    plain = LeNetFashion.__call__

    def counted(self, images):
        calls.append(len(images))
        return plain(self, images)

    monkeypatch.setattr(LeNetFashion, "__call__", counted)
    data = compose_group("datamodule", "fashion_mnist_small")
    alone = evaluate_images("train", data, ["fd_lenet_2k_test2k"])
    assert calls.count(250) == 16  # 4,000 images
    calls.clear()
    both = evaluate_images("train", data, ["fd_lenet_2k_test2k", "panel_lenet_2k_test2k"])
    assert calls.count(250) == 8 + 40  # the samples, once, and the training images
    assert both.evaluations[0].metrics == alone.evaluations[0].metrics


# -- draws, curves, images from elsewhere --------------------------------------------------------


def test_repeated_draws_give_a_standard_error(outputs, capsys):
    composed = tiny_run("toy/ns_gan")
    train(composed, bar=False)
    folder = Run.of(composed).folder
    once = evaluate_run(folder, ["modes_2500"]).evaluations[-1]
    several = evaluate_run(folder, ["modes_2500"], draws=3).evaluations[-1]
    assert several.metrics == once.metrics
    assert once.draws == {}
    drawn = several.draws["high_quality_percent"]
    assert len(drawn) == 3
    assert drawn[0] == once.metrics["high_quality_percent"]
    assert len(set(several.draws["reverse_kl"])) == 3
    assert main(["evaluate", str(folder), "protocol=modes_2500", "draws=3"]) == 0
    assert "s.e. of 3 draws" in capsys.readouterr().out
    for wrong in ("0", "x"):
        assert main(["evaluate", str(folder), "protocol=modes_2500", f"draws={wrong}"]) == 2
    assert main(["evaluate", "images=test", "datamodule=digits", "protocol=x", "draws=2"]) == 2


def test_draws_of_a_likelihood_are_refused(outputs):
    composed = tiny_run(METHODS["pixel_cnn"])
    train(composed, bar=False)
    with pytest.raises(UserError, match="draws must be 1 under bits_per_dim_test, got 2"):
        evaluate_run(Run.of(composed).folder, ["bits_per_dim_test"], draws=2)


def test_all_snapshots_are_a_curve(outputs, capsys):
    composed = tiny_run(METHODS["pixel_cnn"])
    composed.cfg.snapshot_every_images = 16
    train(composed, bar=False)
    folder = str(Run.of(composed).folder)
    assert main(["evaluate", folder, "protocol=bits_per_dim_test", "checkpoint=all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("[")[1].split(",")[0] for line in lines] == ["16", "32", "last"]


def test_one_unreadable_or_odd_image_is_named(outputs, tmp_path):
    for i in range(3):
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / f"{i}.png")
    cases = {
        "unreadable": (lambda: (tmp_path / "7.png").write_bytes(b"x"), "7.png is no readable"),
        "size": (
            lambda: Image.new("L", (9, 28)).save(tmp_path / "7.png"),
            r"0.png has \(28, 28\), 7.png has \(28, 9\)",
        ),
        "mode": (lambda: Image.new("RGBA", (28, 28)).save(tmp_path / "7.png"), "got mode RGBA"),
    }
    for make, message in cases.values():
        make()
        with pytest.raises(UserError, match=message):
            evaluate_images(str(tmp_path), DATA, [LENET])


def test_float_images_are_taken_in_their_range_only(outputs, tmp_path, data):
    pixels = data.split("test")[0].numpy()[:, 0].astype(np.float32)
    np.savez(tmp_path / "x.npz", images=pixels)
    found = evaluate_images(str(tmp_path / "x.npz"), DATA, [LENET]).evaluations[0]
    assert found.metrics["fd_lenet"] == pytest.approx(0, abs=1e-4)
    for images, message in (
        (pixels / 255, r"must state its range: its float32 values lie in \[0, 1\]"),
        (pixels - 1, r"must state its range: its float32 values lie in \[-1, 254\]"),
        (pixels * np.nan, "finite images, got NaN or infinity"),
        (pixels.astype(np.int64), "must hold uint8 or float .* got int64"),
    ):
        np.savez(tmp_path / "x.npz", images=images)
        with pytest.raises(UserError, match=message):
            evaluate_images(str(tmp_path / "x.npz"), DATA, [LENET])


def test_a_stated_range_is_taken_and_what_was_left_out_is_told(outputs, tmp_path, data, capsys):
    """One score for the same images, whatever their type and range."""
    pixels = data.split("test")[0].numpy()[:, 0]
    np.savez(tmp_path / "x.npz", images=pixels / 255, value_range=[0, 1])
    found = evaluate_images(str(tmp_path / "x.npz"), DATA, [LENET]).evaluations[0]
    assert found.metrics["fd_lenet"] == pytest.approx(0, abs=1e-4)
    np.savez(tmp_path / "y.npz", images=pixels / 127.5 - 1)
    command = ["evaluate", f"images={tmp_path / 'y.npz'}", "datamodule=fashion_mnist_small"]
    command.append(f"protocol={LENET}")
    assert main(command) == 2
    assert "must state its range" in capsys.readouterr().err
    assert main([*command, "value_range=-1,1"]) == 0
    for wrong in ("value_range=1,-1", "value_range=0", "value_range=a,b", "value_range=0,1"):
        assert main([*command, wrong]) == 2
    assert "must have values in its range [0, 1], got [-1, 1]" in capsys.readouterr().err
    folder = tmp_path / "made"
    folder.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i}.bmp")
    (folder / "notes.txt").write_text("x")
    assert main([*command[:1], f"images={folder}", *command[2:]]) == 0
    assert "made: files of other kinds are left out: 1 .txt" in capsys.readouterr().err
    records = [Record.from_json(p.read_text()) for p in outputs.rglob("record.json")]
    (record,) = [r for r in records if r.config["left_out"]]
    assert record.evaluations[0].metrics["fd_lenet"] == pytest.approx(0, abs=1e-4)


def test_scores_on_other_data_are_refused(outputs, tmp_path, capsys):
    """The id of a data set does not hold its path: the fingerprint tells."""
    rng = np.random.default_rng(0)

    def write(top):
        images = {
            f"{s}_images": rng.integers(0, top, (400, 28, 28), dtype=np.uint8)
            for s in ("train", "test")
        }
        labels = {f"{s}_labels": np.zeros(400, np.int64) for s in ("train", "test")}
        np.savez(tmp_path / "mine.npz", **images, **labels)

    settings = ["name=mine", "image_shape=[1,28,28]", "num_classes=1", "num_levels=256"]
    own = ["datamodule=npz", f"datamodule.path={tmp_path / 'mine.npz'}"]
    own += [f"datamodule.{s}" for s in settings]
    write(256)
    small = [
        "model.generator.network.width=2",
        "model.discriminator.network.width=2",
        "images_seen=640",
    ]
    command = ["train", "experiment=lucic2018/ns_gan_quick", *own, *small, "protocols=[]"]
    assert main([*command, "--no-bar"]) == 0
    (folder,) = [p.parent for p in outputs.rglob("record.json")]
    images = ["evaluate", "images=train", *own, "protocol=few"]
    (tmp_path / "protocol").mkdir()
    text = (CONFIGS / "protocol" / f"{LENET}.yaml").read_text()
    (tmp_path / "protocol" / "few.yaml").write_text(text.replace("2000", "300"))
    more = ["--config-dir", str(tmp_path)]
    assert main([*images, *more]) == 0
    write(200)
    for verb in (images, ["evaluate", str(folder), "protocol=few"]):
        assert main([*verb, *more]) == 2
        assert "data set mine must have fingerprint" in capsys.readouterr().err


def test_cached_features_of_something_else_are_refused(data, tmp_path):
    one, other = (FeatureCache(tmp_path, name, ["fashion"]) for name in ("one", "other"))
    measured(protocol(), Recorded(), data, one)
    one.path("test", 300, 42).rename(other.path("test", 300, 42))
    with pytest.raises(ValueError, match="cached features .* must have fingerprint .* delete it"):
        measured(protocol(), Recorded(), data, other)
    one.save(Features(torch.ones(300, 4)), "test", 300, 42)
    content = bytearray(one.path("test", 300, 42).read_bytes())
    content[-1] ^= 1
    one.path("test", 300, 42).write_bytes(content)
    with pytest.raises(ValueError, match="cached features .* were changed since; delete it"):
        measured(protocol(), Recorded(), data, one)
    other.path("test", 300, 42).write_bytes(b"cut")
    with pytest.raises(ValueError, match="cached features .* cannot be read; delete it"):
        measured(protocol(), Recorded(), data, other)


# -- the panel tells four sources apart ----------------------------------------------------------


def panel(images, data):
    cfg = compose_group("protocol", "panel_lenet_2k_test2k")
    return measured(instantiate(cfg, "panel"), TensorSource(images, 256, 1), data)


def test_the_panel_tells_failures_apart(data):
    """One image, two classes, copies of the training set, and the test set itself."""
    (train_x, train_y), (test_x, _) = data.split("train"), data.split("test")
    two = train_x[(train_y == 1) | (train_y == 9)][:2000]
    one_image = panel(train_x[:1].repeat(2000, 1, 1, 1), data)
    two_classes, copies = panel(two, data), panel(train_x[:2000], data)
    real = panel(test_x, data)
    # copies look as good as real images to every score but those of memorisation
    assert copies["fd_lenet"] < 5
    assert copies["coverage"] > 0.9
    assert (copies["copied"], copies["too_near"]) == (1, 1)
    assert real["copied"] == pytest.approx(0.5, abs=1e-9)
    assert real["too_near"] == pytest.approx(0.05, abs=0.01)
    # two classes: precise, and yet most of the data are not reached
    assert two_classes["class_kl"] > 1.2  # log 5, but for the classifier's errors
    assert real["class_kl"] == 0
    assert two_classes["precision"] > 0.8
    assert two_classes["recall"] < 0.4
    assert two_classes["coverage"] < 0.4
    # one image: nothing reached, every batch holds duplicates
    assert one_image["classes"] == 1
    assert one_image["recall"] == 0
    assert one_image["birthday_collisions"] == 1
    assert real["recall"] == real["coverage"] == 1
    assert real["density"] == pytest.approx(1, abs=0.01)
    assert real["birthday_collisions"] <= 0.1
    values = [s["fd_lenet"] for s in (real, copies, two_classes, one_image)]
    assert values == sorted(values)


def test_what_the_kept_features_depend_on(outputs, data):
    """Levels, split sizes and the extractor's version change the pixels or the features."""
    cfg, extractor = compose_group("extractor", "lenet_fashion"), LeNetFashion(CFG_SHA256)
    plain = feature_cache(cfg, extractor, data).path("test", 10, 0)
    assert plain == feature_cache(cfg, extractor, data).path("test", 10, 0)

    class Newer(LeNetFashion):
        version = 2

    others = [feature_cache(cfg, Newer(CFG_SHA256), data)]
    for setting in ("validation_size=5", "num_levels=255"):
        changed = instantiate(compose_group("datamodule", "fashion_mnist_small"), "data")
        changed.found_fingerprint = data.found_fingerprint
        name, value = setting.split("=")
        changed.spec = replace(changed.spec, **{name: int(value)})
        others.append(feature_cache(cfg, extractor, changed))
    paths = {plain, *(cache.path("test", 10, 0) for cache in others)}
    assert len(paths) == 4


def test_what_is_real_is_taken_in_once(data):
    """A second source through the same protocol gives what it gives alone."""
    several = protocol(
        metrics={
            "fd": FrechetDistance(4),
            "prdc": PRDC(1, 2),
            "classes": ClassCoverage(3, uniform=False),
            "score": ClassifierScore(3, 100, 2),
        },
        extractor=with_logits,
    )
    prepared = several.prepare(data, torch.device("cpu"), None, "x")

    def score(level):
        return several.measure(Recorded(level), data, prepared, "x")

    first, second = score(100.4), score(50.0)
    assert score(100.4) == first == measured(several, Recorded(100.4), data)
    assert first != second


def with_logits(images):
    pooled = mean_pixels(images).pooled
    return Features(pooled, pooled[:, :3] / 20)


def test_what_is_no_protocol_is_named(own_configs):
    (own_configs / "protocol").mkdir()
    (own_configs / "protocol" / "mine.yaml").write_text("_target_: torch.nn.Identity\n")
    with pytest.raises(UserError, match="protocol mine must be a Protocol of .*, got Identity"):
        build_protocols(["mine"])
