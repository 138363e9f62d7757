"""Noise is a function of (seed, images_seen, global index)."""

import torch

from lit_models.training.noise import Noise, StepNoise
from lit_models.training.seeds import fold_seed


def test_processes_share_one_global_draw():
    whole = StepNoise(seed=3)
    parts = [StepNoise(seed=3, rank=r, world_size=2) for r in range(2)]
    for noise in (whole, *parts):
        noise.start(640)
    for kind in ("normal", "uniform"):
        joined = torch.cat([p((10, 5), kind) for p in parts])
        torch.testing.assert_close(joined, whole((20, 5), kind), rtol=0, atol=0)


def test_a_step_can_be_repeated_and_steps_differ():
    noise = StepNoise(seed=3)
    noise.start(64)
    first, second = noise((4, 2)), noise((4, 2))
    assert not torch.equal(first, second)
    noise.start(64)
    assert torch.equal(noise((4, 2)), first)
    noise.start(128)
    assert not torch.equal(noise((4, 2)), first)


def test_it_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    noise = StepNoise(seed=0)
    noise.start(0)
    noise((3, 3), "uniform")
    assert torch.equal(torch.get_rng_state(), before)


def test_kinds_have_their_moments():
    noise = Noise(torch.Generator().manual_seed(0))
    normal, uniform = noise((100_000,), "normal"), noise((100_000,), "uniform")
    # five standard errors
    torch.testing.assert_close(normal.mean().item(), 0.0, rtol=0, atol=5 / 100_000**0.5)
    torch.testing.assert_close(uniform.mean().item(), 0.5, rtol=0, atol=5 * 0.29 / 100_000**0.5)
    assert uniform.min() >= 0
    assert uniform.max() < 1


def test_folded_seeds_differ_and_fit_torch():
    seeds = {fold_seed(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert max(seeds) < 2**63
    assert fold_seed(1, 2) != fold_seed(2, 1)
