"""Where images come from that are scored, and how they are shared among processes."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.seeds import draw_seed
from benchmarks.evaluation import sources
from benchmarks.evaluation.protocols.base import check_counts
from benchmarks.evaluation.sources import (
    ModelSource,
    TensorSource,
    check_shape,
    finite_samples,
    own_chunks,
    real_source,
    trial,
)
from lit_models.callbacks.monitor import DivergedError
from lit_models.training import interruption
from lit_models.training.interruption import Interrupted


@pytest.fixture(scope="module")
def data():
    module = instantiate(compose_group("datamodule", "fashion_mnist_small"), "data")
    module.setup()
    return module


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# -- images that exist already -------------------------------------------------------------------


def test_an_order_of_its_own_for_images(data):
    source = TensorSource(data.split("test")[0], 256, seed=0)
    first = source(range(0, 10), torch.Generator())
    assert torch.equal(source(range(2, 5), torch.Generator()), first[2:5])
    assert not torch.equal(first, data.split("test")[0][:10].float())
    with pytest.raises(ValueError, match="needs at least 2001 images, got 2000"):
        source(range(2000, 2001), torch.Generator())


def test_the_order_is_the_seeds_and_takes_each_image_once():
    images = torch.arange(50).reshape(50, 1, 1, 1)
    source = TensorSource(images, 256, 0)
    again = [source.drawn_again(draw)(range(50), generator()) for draw in (0, 1, 2, 1)]
    assert torch.equal(again[0], source(range(50), generator()))
    assert not torch.equal(again[0], again[1])
    assert not torch.equal(again[1], again[2])
    assert torch.equal(again[1], again[3])
    orders = [TensorSource(images, 256, seed)(range(50), generator()) for seed in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert torch.equal(orders[2].flatten().sort().values, torch.arange(50.0))


@pytest.mark.parametrize(
    ("num_levels", "expected"),
    [(256, [0.0, 1.0, 2.0]), (2, [0.0, 255.0, 510.0]), (17, [0.0, 15.9375, 31.875])],
)
def test_levels_become_pixels_from_0_to_255(num_levels, expected):
    images = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1)
    found = TensorSource(images, num_levels, 0)(range(3), generator())
    assert found.dtype == torch.float32
    assert found.flatten().sort().values.tolist() == expected


def test_vectors_are_taken_as_they_are():
    points = torch.tensor([[-1.5, 2.0], [0.25, 700.0]])
    found = TensorSource(points, None, 0)(range(2), generator())
    assert found.sort(0).values.tolist() == [[-1.5, 2.0], [0.25, 700.0]]


def test_a_split_as_a_source(data):
    train, valid = real_source(data, "train", 3), real_source(data, "test", 3)
    assert (len(train.images), len(valid.images)) == (10_000, 2_000)
    assert torch.equal(train.order, TensorSource(train.images, 256, 3).order)


# -- samples of a model --------------------------------------------------------------------------


class Noisy(nn.Module):
    """A model whose samples are noise on [0, 1] with dropout in training, images of [0, 255]."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(0.5)

    def sample(self, count, draws):
        return self.dropout(self.scale * torch.rand(count, 1, 2, 2, generator=draws))

    def to_images(self, x):
        return 255 * x


@pytest.mark.parametrize("training", [True, False])
def test_a_model_samples_in_inference_mode_without_gradients(training):
    model = Noisy().train(training)
    source = ModelSource(model)
    found = source(range(7, 10), generator(5))
    assert torch.equal(found, 255 * torch.rand(3, 1, 2, 2, generator=generator(5)))
    assert not found.requires_grad
    assert model.training == training
    assert source.device == model.device


# -- checks before anything long -----------------------------------------------------------------


def test_a_trial_is_two_samples_and_counts_what_is_there():
    images = torch.zeros(3, 1, 2, 2)
    assert trial(TensorSource(images, 256, 0), 3).shape == (2, 1, 2, 2)
    with pytest.raises(ValueError, match="needs at least 4 images, got 3"):
        trial(TensorSource(images, 256, 0), 4)
    assert trial(ModelSource(Noisy()), 10**9).shape == (2, 1, 2, 2)  # a model has any number


def test_samples_must_have_the_shape_of_the_data():
    source = ModelSource(Noisy())
    check_shape(source, 5, SimpleNamespace(shape=(1, 2, 2)))
    with pytest.raises(ValueError, match=r"must have shape \(1, 4, 4\), got \(1, 2, 2\)"):
        check_shape(source, 5, SimpleNamespace(shape=(1, 4, 4)))


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None])
def test_counts_of_a_protocol_are_whole_numbers(value):
    check_counts(SimpleNamespace(a=1, b=2), "a", "b")
    with pytest.raises(ValueError, match=f"b must be an integer >= 1, got {value}"):
        check_counts(SimpleNamespace(a=1, b=value, c=0), "a", "b", "c")


# -- chunks --------------------------------------------------------------------------------------


def first_draws(chunks):
    """Return what the generator of each chunk draws first, by the chunk's first index."""
    return {index.start: torch.rand((), generator=g).item() for index, g in chunks}


def test_chunks_cover_all_once_and_have_draws_of_their_own():
    chunks = list(own_chunks(10, 4, 7, "x"))
    assert [index for index, _ in chunks] == [range(4), range(4, 8), range(8, 10)]
    assert len(set(first_draws(chunks).values())) == 3
    assert first_draws(own_chunks(10, 4, 7, "x")) == first_draws(own_chunks(12, 4, 7, "x"))
    assert first_draws(own_chunks(10, 4, 8, "x")) != first_draws(own_chunks(10, 4, 7, "x"))
    assert list(own_chunks(0, 4, 7, "x")) == []


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_processes_share_the_chunks_and_keep_step(monkeypatch, processes):
    """The draws are those of one process; each looks for a signal equally often."""
    alone, shared, looks = first_draws(own_chunks(21, 5, 7, "x")), {}, []
    for rank in range(processes):
        asked = []
        monkeypatch.setattr(sources, "world", lambda rank=rank: (rank, processes))
        monkeypatch.setattr(sources, "stop_if_asked", lambda asked=asked: asked.append(1))
        mine = first_draws(own_chunks(21, 5, 7, "x"))
        assert not mine.keys() & shared.keys()
        shared |= mine
        looks.append(len(asked))
    assert shared == alone
    assert looks == [-(-5 // processes)] * processes


def test_a_signal_ends_before_the_next_chunk(monkeypatch):
    monkeypatch.setattr(interruption, "_requested", None)
    seen = []
    with pytest.raises(Interrupted, match="SIGTERM"):  # noqa: PT012
        for index, _ in own_chunks(30, 10, 0, "x"):
            seen.append(index.start)
            if index.start == 10:
                interruption.request("SIGTERM")
    assert seen == [0, 10]


class Bad:
    """A source with a value that is not finite from a sample on."""

    device = torch.device("cpu")

    def __init__(self, since):
        self.since, self.calls = since, []

    def __call__(self, index, draws):
        self.calls.append(index.start)
        images = torch.rand(len(index), 1, 2, 2, generator=draws)
        images[torch.tensor(index) >= self.since] = float("inf")
        return images


def test_finite_samples_come_with_their_index():
    found = list(finite_samples(ModelSource(Noisy()), 10, 4, 7, "x"))
    assert [(index.start, len(images)) for index, images in found] == [(0, 4), (4, 4), (8, 2)]
    again = list(finite_samples(ModelSource(Noisy()), 8, 4, 7, "x"))
    assert torch.equal(again[1][1], found[1][1])  # whatever number is drawn in all


def test_samples_that_are_not_finite_end_it_after_the_last_good_chunk():
    source, found = Bad(since=9), []
    with pytest.raises(DivergedError, match="samples are not finite"):  # noqa: PT012
        for index, _ in finite_samples(source, 20, 4, 7, "x"):
            found.append(index.start)
    assert found == [0, 4]
    assert source.calls == [0, 4, 8]  # nothing is drawn after that


def test_every_process_ends_when_the_samples_of_one_are_not_finite(monkeypatch):
    """The other hears of it after its last chunk, having drawn all of its own."""
    told = []
    monkeypatch.setattr(sources, "any_process", lambda mine, device: told.append(mine) or True)
    source = Bad(since=99)
    with pytest.raises(DivergedError):
        list(finite_samples(source, 12, 4, 7, "x"))
    assert (source.calls, told) == ([0, 4, 8], [False])


def test_the_first_draw_has_the_seed_itself():
    seeds = [draw_seed(42, draw) for draw in range(5)]
    assert seeds[0] == 42
    assert len(set(seeds)) == 5
    assert seeds == [draw_seed(42, draw) for draw in range(5)]
    assert set(seeds[1:]).isdisjoint(draw_seed(43, draw) for draw in range(1, 5))
