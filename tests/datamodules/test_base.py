"""The stream of batches is a function of (seed, images_seen, index); splits are what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from datamodules.base import BatchStream, Splits, fingerprint_of
from datamodules.synthetic import SyntheticImages

X, Y = torch.arange(10)[:, None], torch.arange(10)


def take(stream, n):
    return [x[:, 0].tolist() for _, (x, _) in zip(range(n), stream, strict=False)]


def test_every_epoch_is_a_new_permutation_and_batches_span_two():
    flat = sum(take(BatchStream(X, Y, batch_size=4), 10), [])
    epochs = [flat[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(e) == list(range(10)) for e in epochs)
    assert len({tuple(e) for e in epochs}) == 4


def test_it_begins_anywhere():
    whole = take(BatchStream(X, Y, 4, batches_per_step=2), 6)
    assert take(BatchStream(X, Y, 4, batches_per_step=2, images_seen=24), 3) == whole[3:]


def test_batches_per_step_only_groups():
    single = sum(take(BatchStream(X, Y, 4), 6), [])
    assert sum(take(BatchStream(X, Y, 4, batches_per_step=3), 2), []) == single


def test_processes_share_every_batch():
    whole = take(BatchStream(X, Y, 4, batches_per_step=2), 5)
    parts = [take(BatchStream(X, Y, 4, 2, rank=r, world_size=2), 5) for r in range(2)]
    for item, a, b in zip(whole, *parts, strict=True):
        assert item == a[:2] + b[:2] + a[2:] + b[2:]


def test_labels_follow_and_the_seed_matters():
    x, y = next(iter(BatchStream(X, Y, 8)))
    assert torch.equal(x[:, 0], y)
    assert take(BatchStream(X, Y, 8), 2) == take(BatchStream(X, Y, 8), 2)
    assert take(BatchStream(X, Y, 8, seed=1), 2) != take(BatchStream(X, Y, 8), 2)


def test_refuses_what_does_not_fit():
    with pytest.raises(
        ValueError, match="batch_size must be <= 10, the number of training images"
    ):
        BatchStream(X, Y, 11)
    with pytest.raises(
        ValueError, match="batch_size must be a multiple of the 3 processes, got 4"
    ):
        BatchStream(X, Y, 4, world_size=3)


def synthetic(**settings):
    values = {"name": "s", "image_shape": [3, 4, 4], "num_levels": 256, "num_classes": 10}
    sizes = {"train_size": 30, "test_size": 9, "seed": 0, "validation_size": 0}
    return SyntheticImages(**{**values, **sizes, **settings})


def test_validation_is_set_aside_and_the_rest_is_whole():
    all_of_it, part = synthetic(), synthetic(validation_size=7)
    all_of_it.setup()
    part.setup()
    train, validation = part.split("train")[0], part.split("validation")[0]
    assert (len(train), len(validation)) == (23, 7)
    joined = {x.numpy().tobytes() for x in torch.cat([train, validation])}
    assert joined == {x.numpy().tobytes() for x in all_of_it.split("train")[0]}
    assert len(all_of_it.split("validation")[0]) == 0
    with pytest.raises(ValueError, match="split must be one of"):
        part.split("dev")


def test_fingerprint_is_over_all_four_arrays():
    splits = synthetic().load()
    arrays = [splits.train, splits.train_labels, splits.test, splits.test_labels]
    seen = {fingerprint_of(splits)}
    for i in range(4):
        changed = [a.copy() for a in arrays]
        changed[i].flat[0] ^= 1
        seen.add(fingerprint_of(Splits(*changed)))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fingerprint": "abc"}, "fingerprint of s must be abc, got"),
        ({"validation_size": 30}, "validation_size must be >= 0 and < 30, got 30"),
        ({"num_classes": 10, "shape": (1, 4, 4)}, "train examples must have shape"),
        ({"levels": 100}, "train images must have levels below 100"),
        ({"classes": 3}, r"train_labels must be integers of shape \(30,\) in 0 .. 2, got 0 .. 9"),
    ],
)
def test_data_that_is_not_as_configured_is_refused(settings, message):
    module = synthetic(
        **{k: v for k, v in settings.items() if k not in ("shape", "levels", "classes")}
    )
    splits = module.load()
    module.load = lambda: splits
    module.spec = replace(
        module.spec,
        shape=settings.get("shape", module.shape),
        num_levels=settings.get("levels", module.num_levels),
        num_classes=settings.get("classes", module.num_classes),
    )
    with pytest.raises(ValueError, match=message):
        module.setup()


def test_setup_twice_loads_once():
    module = synthetic()
    module.setup()
    module.load = None
    module.setup()
    assert isinstance(module.split("test")[0].numpy(), np.ndarray)
