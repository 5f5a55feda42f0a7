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


def learned(*, blocks: int = 400):
    """A streaming layer with statistics of both sides."""
    norm = stream(AdaptiveNorm(CHANNELS), 2)
    for side, x in ((TARGET, sound(0, 0.3, 2.0)), (SOURCE, sound(1, 4.0, -1.0))):
        norm.set_learning(side, 1.0)
        for part in x.split(blocks, 2):
            norm(part)
        norm.set_learning(side, 0.0)
    return norm


def loaded() -> AdaptiveNorm:
    """A layer with the statistics that a streaming one has learned."""
    norm, buffers = AdaptiveNorm(CHANNELS).eval(), dict(learned().named_buffers())
    norm.load_state_dict({name: buffers[name] for name in norm.state_dict()})
    return norm


def test_identity_in_training_and_until_both_sides_are_known():
    x = sound(2)
    assert AdaptiveNorm(CHANNELS).eval()(x) is x
    assert loaded().train()(x) is x
    live = stream(AdaptiveNorm(CHANNELS))
    assert live(x) is x
    live.set_learning(SOURCE, 1.0)
    assert torch.equal(live(x), x)
    for side in (SOURCE, TARGET):
        live = learned()
        live.forget(side)
        assert torch.equal(live(x), x)
    norm = loaded()
    norm.forget()
    assert norm(x) is x


def test_the_source_gets_the_targets_mean_and_deviation():
    norm, target, source = learned(), sound(0, 0.3, 2.0), sound(1, 4.0, -1.0)
    y = norm(source)
    for statistic in (torch.mean, torch.std):
        assert_close(statistic(y, (0, 2)), statistic(target, (0, 2)), rtol=1e-3, atol=1e-3)
    assert_close(loaded()(source), y)
    norm.set_amount(0.5)
    assert_close(norm(source), (source + y) / 2)
    norm.set_amount(0.0)
    assert torch.equal(norm(source), source)


@pytest.mark.parametrize("blocks", [1, 7, 128])
def test_statistics_do_not_depend_on_blocks(blocks):
    for statistic in ("mean", "variance", "frames"):
        assert_close(getattr(learned(blocks=blocks), statistic), getattr(learned(), statistic), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mean", [0.0, 100.0])
def test_what_is_played_while_it_learns_does_not_depend_on_blocks_either(mean):
    """Each frame is moved by all frames up to it; the target is heard as it is."""
    x, played = sound(3, 4.0, mean), []
    for blocks in (400, 1, 7, 128):
        live = learned()
        live.set_learning(TARGET, 1.0)
        assert all(torch.equal(live(part), part) for part in x.split(blocks, 2))
        live.set_learning(TARGET, 0.0)
        live.forget(SOURCE)
        live.set_learning(SOURCE, 1.0)
        played.append(torch.cat([live(part) for part in sound(4, 0.5, mean).split(blocks, 2)], 2))
    assert not torch.allclose(played[0], sound(4, 0.5, mean), atol=0.1)
    for other in played[1:]:
        assert_close(other, played[0], rtol=1e-3, atol=1e-3 * played[0].std())


def test_it_streams_with_frozen_statistics_and_scripts(tmp_path):
    assert_streams(loaded(), channels=CHANNELS, folder=tmp_path)
    live = torch.jit.script(stream(AdaptiveNorm(CHANNELS)))
    live.set_learning(TARGET, 1.0)
    live(sound(0))
    live.set_learning(TARGET, 0.0)
    live.set_learning(SOURCE, 1.0)
    assert not torch.equal(live(sound(1, 4.0)), sound(1, 4.0))


def test_the_same_operations_whichever_side_learns_as_a_graph_needs_them():
    norm, x = learned(), sound(3)
    assert sum(count_operations(lambda: norm(x)).values()) == 2
    counts = []
    for side in (SOURCE, TARGET):
        norm.set_learning(side, 1.0)
        norm.set_amount(0.3)
        counts.append(count_operations(lambda: norm(x)))
    assert counts[0] == counts[1]
