"""Figures: 0 (or 1) for a perfect reconstruction, known numbers for known faults."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rave_lite.evaluation.figures import figures
from rave_lite.evaluation.metrics import level_db, level_order, loud_db, mel_db, onset_f1, onsets, peaks, spectral
from rave_lite.evaluation.pictures import save, spectrograms

RATE = 44100


def hits(times: list[float], seconds: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    sound = np.zeros(round(seconds * RATE))
    for time in times:
        at = round(time * RATE)
        tail = sound[at : at + 8000]
        tail += 0.3 * rng.standard_normal(len(tail)) * np.exp(-np.arange(len(tail)) / 1500)
    return sound


def test_nothing_wrong():
    names = ("spectral", "mel_db", "loud_db", "attack_db", "slope_db", "body_db", "decay_db_s")
    right = {**dict.fromkeys(names, 0), "onset_f1": 1}
    assert figures(hits([0.0, 0.5, 1.2]), hits([0.0, 0.5, 1.2]), RATE) == pytest.approx(right)


def test_a_gain_in_db():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert loud_db(noise, noise / 10, RATE) == pytest.approx(20, abs=0.01)
    assert mel_db(noise, noise / 10, RATE) == pytest.approx(20, abs=0.1)
    assert spectral(noise, noise / 10) == pytest.approx(5 * (0.81 + np.log(10)), rel=0.01)
    assert loud_db(noise, 0 * noise, RATE) == pytest.approx(40, abs=1)  # down to the floor of -60 dB, no further


def test_onsets_are_found_where_they_are_and_matched():
    times = [0.0, 0.5, 1.2]
    assert onsets(hits(times), RATE) == pytest.approx(times, abs=0.03)
    assert onset_f1(hits(times), hits([0.02, 0.52]), RATE) == pytest.approx(2 * 2 / 5)
    assert onset_f1(hits(times), hits([0.25, 0.8]), RATE) == 0
    assert onset_f1(np.zeros(RATE), np.zeros(RATE), RATE) == 1
    assert onset_f1(hits(times), np.zeros(RATE), RATE) == 0


@given(arrays(np.float32, st.integers(1, 60), elements=st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0])), st.integers(0, 4),
       st.integers(1, 9))
def test_peaks_are_what_they_are_said_to_be(strength, near, far):
    expected, n = [], 0
    while n < len(strength):
        around = strength[max(0, n - far) : n + far + 1]
        if strength[n] == max(strength[max(0, n - near) : n + 1]) and strength[n] >= around.mean(dtype=np.float64) + 0.07:
            expected.append(n)
            n += near
        n += 1
    assert peaks(strength, near, far) == expected


def test_sounds_without_onsets():
    for sound in (np.zeros(RATE), np.zeros(10), np.full(RATE, 0.5)[:1]):
        assert len(onsets(sound, RATE)) == 0


def test_the_order_of_levels():
    def accents(*gains: float) -> np.ndarray:
        return sum(gain * hits([0.1 + 0.4 * i]) for i, gain in enumerate(gains))

    played = accents(0.2, 1.0, 0.5, 0.8)
    assert level_order(played, 0.1 * played, RATE) == pytest.approx(1)
    assert level_order(played, accents(0.3, 0.9, 0.6, 0.8), RATE) == pytest.approx(1)  # the gaps differ, the order does not
    assert level_order(played, accents(1.0, 0.2, 0.8, 0.5), RATE) == pytest.approx(-1)
    assert level_order(played, 0 * played, RATE) == 0
    assert level_order(accents(1.0), accents(1.0), RATE) == 0


def test_level():
    assert level_db(np.ones(100) / 10) == pytest.approx(-20)
    assert level_db(np.zeros(100)) == -200


def test_short_sounds_have_figures():
    short = hits([0.0], 0.03)
    assert np.isfinite(list(figures(short, short / 2, RATE).values())).all()


def test_pictures_are_drawn(tmp_path):
    figure = spectrograms({"original": [hits([0]), hits([1])], "model": [hits([0]), hits([1])]}, ["a", "b"], RATE)
    save(figure, tmp_path / "new" / "x.png")
    assert (tmp_path / "new" / "x.png").stat().st_size > 10_000
