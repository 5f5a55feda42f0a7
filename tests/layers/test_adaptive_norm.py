"""Adaptive instance normalisation: identity by default, the target's statistics once both sides are known, in any blocks."""

import pytest
import torch
from torch.testing import assert_close

from rave_lite.layers import stream
from rave_lite.layers.adaptive_norm import SOURCE, TARGET, AdaptiveNorm
from tests.operations import count_operations
from tests.streaming import assert_streams

CHANNELS = 5


def sound(seed: int, deviation: float = 1.0, mean: float = 0.0, frames: int = 400) -> torch.Tensor:
    return mean + deviation * torch.randn(2, CHANNELS, frames, generator=torch.Generator().manual_seed(seed))


def learned(*, blocks: int = 400) -> AdaptiveNorm:
    norm = AdaptiveNorm(CHANNELS).eval()
    for side, x in ((TARGET, sound(0, 0.3, 2.0)), (SOURCE, sound(1, 4.0, -1.0))):
        norm.set_learning(side, 1.0)
        for part in x.split(blocks, 2):
            norm(part)
        norm.set_learning(side, 0.0)
    return norm


def test_identity_in_training_and_until_both_sides_are_known():
    norm, x = AdaptiveNorm(CHANNELS), sound(2)
    assert norm(x) is x
    assert norm.eval()(x) is x
    norm.set_learning(SOURCE, 1.0)
    assert torch.equal(norm(x), x)
    known = learned()
    assert known.train()(x) is x
    for side in (SOURCE, TARGET):
        norm = learned()
        norm.forget(side)
        assert torch.equal(norm(x), x)
    assert not norm.state_dict()


def test_the_source_gets_the_targets_mean_and_deviation():
    norm, target, source = learned(), sound(0, 0.3, 2.0), sound(1, 4.0, -1.0)
    y = norm(source)
    for statistic in (torch.mean, torch.std):
        assert_close(statistic(y, (0, 2)), statistic(target, (0, 2)), rtol=1e-3, atol=1e-3)
    norm.set_amount(0.5)
    assert_close(norm(source), (source + y) / 2)
    norm.set_amount(0.0)
    assert torch.equal(norm(source), source)


@pytest.mark.parametrize("blocks", [1, 7, 128])
def test_statistics_do_not_depend_on_blocks(blocks):
    assert_close(learned(blocks=blocks).moments, learned().moments, rtol=1e-4, atol=1e-5)


def test_it_streams_with_frozen_statistics_and_scripts(tmp_path):
    assert_streams(learned(), channels=CHANNELS, folder=tmp_path)
    live = torch.jit.script(stream(AdaptiveNorm(CHANNELS)))
    live.set_learning(TARGET, 1.0)
    live(sound(0))
    live.set_learning(TARGET, 0.0)
    live.set_learning(SOURCE, 1.0)
    assert not torch.equal(live(sound(1, 4.0)), sound(1, 4.0))


def test_the_same_operations_whatever_learns_as_a_graph_needs_them():
    norm, x = learned(), sound(3)
    before = count_operations(lambda: norm(x))
    norm.set_learning(SOURCE, 1.0)
    norm.set_learning(TARGET, 1.0)
    norm.set_amount(0.3)
    assert count_operations(lambda: norm(x)) == before
