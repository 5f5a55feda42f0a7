"""Embedding: independent of level, sensitive to timbre, finite for any input."""

import warnings

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite.evaluation.embedding import embed
from tests.sounds import RATE, bell, drum


@given(st.floats(1e-6, 1e3), st.booleans())
@settings(max_examples=20)
def test_level_and_sign_do_not_matter(gain, flip):
    sound = drum(0)
    assert embed(sound * (-gain if flip else gain), RATE) == pytest.approx(embed(sound, RATE), abs=1e-6)


def test_families_are_nearer_to_themselves():
    drums, bells = (np.array([embed(make(seed), RATE) for seed in range(8)]) for make in (drum, bell))
    apart = np.linalg.norm(drums[:, None] - bells[None], axis=-1)
    for family in (drums, bells):
        assert np.linalg.norm(family[:, None] - family[None], axis=-1).max() < 0.5 * apart.min()


def test_steps_are_what_the_docstring_says():
    """Ringing twice as long moves each time by one octave; the flatness of a tone is far below that of noise."""
    rng, t = np.random.default_rng(0), np.arange(4 * RATE) / RATE
    noise = rng.standard_normal(len(t))
    short, long = (embed(noise * np.exp(-t / tau), RATE) for tau in (0.2, 0.4))
    assert long[28:35] - short[28:35] == pytest.approx(1, abs=0.2)
    tone = embed(np.sin(2 * np.pi * 1000 * t), RATE)
    flat = embed(noise, RATE)
    assert (flat[35:] > -0.35).all()
    assert tone[36] < flat[36] - 1.5


def test_silence_around_a_hit_does_not_matter():
    sound = drum(1)
    padded = np.concatenate([np.zeros(RATE // 2), sound, np.zeros(RATE)])
    distance, other = (np.linalg.norm(embed(x, RATE) - embed(sound, RATE)) for x in (padded, bell(1)))
    assert distance < 0.05 * other


@pytest.mark.parametrize("sound", [np.zeros(RATE), np.zeros(0), np.ones(1), np.full(RATE, 1e-30), np.ones(882) * 0.5,
                                   np.random.default_rng(0).standard_normal(882).astype(np.float32)])
def test_anything_is_a_point(sound):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        point = embed(sound, RATE)
    assert point.shape == (39,)
    assert np.isfinite(point).all()


def test_rates_agree():
    """The same hit at 44.1 and 48 kHz has nearly the same embedding, relative to the distance of a bell."""
    same = embed(soxr.resample(drum(2), RATE, 48000), 48000)
    assert np.linalg.norm(same - embed(drum(2), RATE)) < 0.05 * np.linalg.norm(embed(bell(2), RATE) - same)
