"""Loudness by the standard, also of sounds shorter than its blocks; equal loudness without clipping."""

import numpy as np
import pytest

from rave_lite.evaluation.levels import CEILING, MAX_GAIN_DB, integrated, matched, unclipped
from tests.sounds import RATE, drum


def sine(hertz: float, seconds: float, level: float = 1.0, rate: int = RATE) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_the_standards_own_example(rate):
    """BS.1770-4: a 997 Hz sine at full scale on one front channel is -3.01 LKFS; unscaled it would clip the filters."""
    assert integrated(sine(997, 5, 1, rate), rate) == pytest.approx(-3.01, abs=0.05)
    assert integrated(sine(997, 5, 10, rate), rate) == pytest.approx(16.99, abs=0.05)


def test_pauses_do_not_count():
    tone = sine(997, 4, 0.1)
    assert integrated(np.concatenate([tone, np.zeros(8 * RATE)]), RATE) == pytest.approx(integrated(tone, RATE), abs=0.3)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.399, 0.4, 0.45, 1.0])
def test_a_hit_of_any_length_has_a_loudness_and_gain_moves_it_alike(seconds):
    hit = drum(0, 2.0)[: round(seconds * RATE)]
    for gain in (1e-3, 0.1, 30.0):
        assert integrated(gain * hit, RATE) == pytest.approx(integrated(hit, RATE) + 20 * np.log10(gain), abs=1e-3)


def test_a_hit_in_the_last_moment_is_heard():
    sound = np.zeros(round(0.48 * RATE))
    sound[-2000:] = drum(0)[:2000]
    assert integrated(sound, RATE) == pytest.approx(integrated(drum(0)[:2000], RATE), abs=1)


@pytest.mark.parametrize("sound", [np.zeros(100), np.zeros(RATE), np.full(RATE, 9e-5), np.zeros(0)])
def test_silence_has_none_and_is_left_alone(sound):
    assert integrated(sound, RATE) is None
    assert matched([0.1 * drum(0), sound], RATE) == [1, 1]
    assert matched([sound, 0.1 * drum(0)], RATE) == [1, 1]


def test_matched_sounds_are_equally_loud_and_none_clips():
    original = drum(0) / np.abs(drum(0)).max()
    sounds = [original, 0.05 * drum(1), 3 * drum(2), 0.3 * sine(60, 0.5), 0.3 * sine(6000, 0.5)]
    played = [gain * sound for gain, sound in zip(matched(sounds, RATE), sounds, strict=True)]
    assert [integrated(sound, RATE) for sound in played] == pytest.approx([integrated(played[0], RATE)] * 5, abs=0.01)
    assert max(np.abs(sound).max() for sound in played) == pytest.approx(CEILING)
    assert unclipped([original, 0.5 * original], [1, 1]) == pytest.approx([CEILING, CEILING])
    assert unclipped([0.5 * original, 0.1 * original], [1, 1]) == [1, 1]


def test_what_is_all_but_silent_is_not_blown_up():
    gains = matched([0.1 * drum(0), 1e-3 * drum(0)], RATE)
    assert gains == pytest.approx([1, 10 ** (MAX_GAIN_DB / 20)])
