"""A level follower: the guide's short-time level, in any blocks; nothing at an amount of 0."""

import pytest
import torch
from torch.testing import assert_close

from rave_lite.layers.level_follower import LevelFollower

FRAME, RATE = 16, 44100


def sounds(frames: int = 1200) -> tuple[torch.Tensor, torch.Tensor]:
    """Steady noise, and a guide of strokes, both `(1, frames, 16)`."""
    noise = torch.randn(2, 1, frames, FRAME, generator=torch.Generator().manual_seed(0))
    fall = torch.exp(-(torch.arange(frames) % 400) / 120)
    return 0.2 * noise[0], 0.5 * noise[1] * fall[:, None]


def level(x: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(x.view(-1, 20 * FRAME).square().mean(1))


def test_the_level_becomes_the_guides():
    sound, guide = sounds()
    follower, amounts = LevelFollower(FRAME, RATE), torch.ones(sound.shape[1])
    loud = level(guide) > -35
    assert (level(follower(sound, guide, amounts)) - level(guide))[loud].abs().max() < 3.5
    follower.reset()
    half = level(follower(sound, guide, 0.5 * amounts))
    assert_close(half[loud], ((level(sound) + level(guide)) / 2)[loud], rtol=0, atol=2.0)
    follower.reset()
    assert torch.equal(follower(sound, guide, 0 * amounts), sound)


def test_it_adds_20_db_at_most_and_nothing_where_both_are_silent():
    sound, guide = sounds()
    follower, amounts = LevelFollower(FRAME, RATE), torch.ones(sound.shape[1])
    assert follower(1e-3 * sound, guide, amounts).abs().max() <= 10.05 * 1e-3 * sound.abs().max()
    follower.reset()
    assert_close(follower(1e-6 * sound, 0 * guide, amounts), 1e-6 * sound)


@pytest.mark.parametrize("sizes", [[1] * 1200, [7, 93, 1100]])
def test_it_streams(sizes):
    sound, guide = sounds()
    amounts = torch.rand(sound.shape[1], generator=torch.Generator().manual_seed(1))
    whole, parts = LevelFollower(FRAME, RATE)(sound, guide, amounts), torch.jit.script(LevelFollower(FRAME, RATE, 3))
    y = torch.cat([parts(*block) for block in zip(sound.split(sizes, 1), guide.split(sizes, 1), amounts.split(sizes),
                                                  strict=True)], 1)
    assert_close(y, whole, rtol=1e-5, atol=1e-6)
