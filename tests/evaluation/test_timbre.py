"""Timbre: near 0 within a family, growing with the distance; gesture figures at their extremes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite.evaluation.metrics import high_share, loudness, loudness_correlation
from rave_lite.evaluation.timbre import FRAME, MAX_FRAMES, frames, kernel_distance, timbre
from tests.sounds import RATE, bell, drum


def slow(x: np.ndarray, target: np.ndarray) -> float:
    """The kernel distance by its definition, pair by pair."""
    def squared(a, b):
        return float(((a - b) ** 2).sum())

    m = len(target)
    typical = sorted(squared(target[i], target[j]) for i in range(m) for j in range(m) if i != j)[(m * (m - 1) - 1) // 2]

    def kernel(a, b):
        return np.mean([c * typical / (c * typical + squared(a, b)) for c in (0.1, 0.2, 0.5, 1, 2, 5, 10)])

    def within(points):
        return np.mean([kernel(a, b) for i, a in enumerate(points) for j, b in enumerate(points) if i != j])

    return within(x) + within(target) - 2 * np.mean([kernel(a, b) for a in x for b in target])


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(3, 8), st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_the_kernel_distance_is_its_definition_in_any_unit(n, m, seed, unit):
    rng = np.random.default_rng(seed)
    x, target = rng.standard_normal((n, 5)) + 1, rng.standard_normal((m, 5))
    distance = kernel_distance(x, target)
    assert distance == pytest.approx(slow(x, target), abs=1e-9)
    assert kernel_distance(unit * x, unit * target) == pytest.approx(distance, abs=1e-9)
    assert kernel_distance(x[::-1], target[rng.permutation(m)]) == pytest.approx(distance, abs=1e-9)


def test_it_is_0_on_average_for_the_same_distribution_also_of_few_points_and_grows_with_the_distance():
    rng = np.random.default_rng(0)
    target = rng.standard_normal((400, 8))
    of_few = [kernel_distance(rng.standard_normal((3, 8)), target) for _ in range(600)]
    assert np.mean(of_few) == pytest.approx(0, abs=4 * np.std(of_few) / 600**0.5)
    away = [kernel_distance(rng.standard_normal((50, 8)) + shift, target) for shift in (0, 0.5, 2, 8, 30)]
    assert away == sorted(away)
    assert abs(away[0]) < 0.02 < 0.5 < away[-1] <= 2
    assert away[-1] > away[-2] + 0.1  # far is still told from farther


def test_a_family_is_near_itself():
    drums, more, bells = (timbre([make(n) for n in seeds], RATE) for make, seeds in
                          ((drum, range(12)), (drum, range(12, 24)), (bell, range(12))))
    assert kernel_distance(more, drums) < 0.1 * kernel_distance(bells, drums)
    single = timbre([bell(3)], RATE)
    assert kernel_distance(single, bells) < 0.5 * kernel_distance(single, drums)


@pytest.mark.parametrize("count", [1, 3, 882, 4410, 17640, 100000])
def test_any_sound_has_a_distribution(count):
    sound = np.random.default_rng(0).standard_normal(count).astype(np.float32)
    points = timbre([sound, 0 * sound], RATE)
    assert np.isfinite(points).all()
    if count > 1:
        assert len(frames(sound, RATE)) >= 2
        assert len(frames(0 * sound, RATE)) >= 2
        assert np.isfinite(kernel_distance(points[:2], points))


def test_frames_are_where_it_sounds():
    sound = np.zeros(3 * RATE)
    sound[RATE : 2 * RATE] = np.sin(np.arange(RATE))
    audible = frames(sound, RATE)
    assert len(audible) == pytest.approx(11, abs=1)
    assert max(map(len, audible)) == round(FRAME * RATE)
    assert min(np.abs(frame).max() for frame in audible) > 0.9


@pytest.mark.slow
def test_of_many_frames_some_are_drawn():
    sound = np.random.default_rng(0).standard_normal(RATE * (MAX_FRAMES // 10 + 20))
    first = timbre([sound], RATE, 0)
    assert len(first) == MAX_FRAMES
    assert np.array_equal(first, timbre([sound], RATE, 0))
    assert not np.array_equal(first, timbre([sound], RATE, 1))


def test_loudness_correlates_whatever_the_gain_and_not_with_silence():
    x = drum(0, 1.0)
    assert loudness_correlation(x, x, RATE) == pytest.approx(1)
    tremolo = np.sin(np.arange(RATE)) * (0.5 + 0.4 * np.sin(np.arange(RATE) * 2 * np.pi * 3 / RATE))
    assert loudness_correlation(tremolo, 0.3 * tremolo, RATE) == pytest.approx(1, abs=1e-4)
    against = np.sin(np.arange(RATE)) * (0.5 - 0.4 * np.sin(np.arange(RATE) * 2 * np.pi * 3 / RATE))
    assert loudness_correlation(tremolo, against, RATE) < -0.8
    assert loudness_correlation(x, 0 * x, RATE) == 0
    assert loudness(np.zeros(RATE), RATE) == pytest.approx(-60)
    assert loudness(np.ones(RATE), RATE)[5:-5] == pytest.approx(0)


def test_the_share_above_4_khz():
    t = np.arange(2 * RATE + 1234) / RATE
    low, high = np.sin(2 * np.pi * 1000 * t), np.sin(2 * np.pi * 8000 * t)
    assert high_share(low, RATE) < 1e-3
    assert high_share(high, RATE) > 0.999
    assert high_share(low + high, RATE) == pytest.approx(0.5, abs=1e-3)
    assert high_share(2 * low + high, RATE) == pytest.approx(0.2, abs=1e-3)
    assert high_share(np.random.default_rng(0).standard_normal(len(t)), RATE) == pytest.approx(1 - 8000 / RATE, abs=0.02)
    assert high_share(0 * low, RATE) == 0
    assert high_share(low + high, RATE, above=500) == pytest.approx(1, abs=1e-3)
