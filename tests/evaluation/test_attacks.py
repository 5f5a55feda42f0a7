"""Figures of attacks: known numbers for known faults."""

import numpy as np
import pytest

from rave_lite.evaluation.attacks import FLOOR, attack_figures, sharpness

RATE = 44100


def strokes(rise: float = 0.0, decay: float = 0.1, transient: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Three strokes of -6 dBFS that rise in `rise` s, fall by 1/e in `decay` s, their first 10 ms times `transient`."""
    sound, time = np.zeros(3 * RATE), np.arange(round(0.7 * RATE)) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 3000 * time) * np.exp(-time / decay) * np.minimum(1, (time + 1e-4) / max(rise, 1e-4))
    tone[: RATE // 100] *= transient
    for at in (0.1, 0.9, 1.8):
        start = round((at + shift) * RATE)
        sound[start : start + len(tone)] += tone
    return sound


def test_a_quieter_output_has_quieter_attacks_and_nothing_else():
    errors = attack_figures(strokes(), strokes() / 2, RATE)
    assert errors == pytest.approx({"attack_db": 6.02, "slope_db": 6.02, "body_db": 0, "decay_db_s": 0}, abs=0.05)


def test_a_slow_rise_is_a_fault_of_the_slope():
    errors = attack_figures(strokes(), strokes(rise=0.008), RATE)
    assert errors["slope_db"] > 12
    assert errors["attack_db"] < 1.5


@pytest.mark.parametrize("decay", [0.02, 0.05, 0.2])
def test_decay(decay):
    errors = attack_figures(strokes(decay=0.1), strokes(decay=decay), RATE)
    assert errors["decay_db_s"] == pytest.approx(abs(8.686 / decay - 86.86), rel=0.1)
    assert errors["attack_db"] < 0.5


def test_transient_against_body():
    errors = attack_figures(strokes(), strokes(transient=0.5), RATE)
    assert errors["body_db"] == pytest.approx(6.02, abs=0.1)
    assert errors["attack_db"] == pytest.approx(6.02, abs=1)


def test_a_shift_costs_nothing_and_silence_is_60_db_down():
    assert max(attack_figures(strokes(), strokes(shift=0.007), RATE).values()) < 1
    errors = attack_figures(strokes(), 0 * strokes(), RATE)
    assert errors["attack_db"] == pytest.approx(54, abs=0.1)
    assert errors["slope_db"] == pytest.approx(54, abs=1)


@pytest.mark.parametrize("sound", [np.zeros(RATE), np.ones(30), np.full(RATE, 1e-4)])
def test_sounds_without_strokes_have_figures(sound):
    assert set(attack_figures(sound, sound, RATE).values()) == {0.0}


def test_sharpness_falls_with_the_time_of_rise_and_not_with_the_level():
    sudden, slow = sharpness(strokes(), RATE), sharpness(strokes(rise=0.02), RATE)
    assert -3 < sudden <= 0
    assert slow < sudden - 12
    assert sharpness(0.01 * strokes(), RATE) == pytest.approx(sudden, abs=0.1)
    assert sharpness(0 * strokes(), RATE) == FLOOR
