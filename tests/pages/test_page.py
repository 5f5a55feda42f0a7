"""Sounds inside a page: any rate, and levels that can be restored."""

import io

import numpy as np
import pytest
import soundfile

from rave_lite.pages import page


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 32000, 40000, 44100, 48000, 88200, 96000, 192000])
def test_any_rate_is_heard(rate):
    tone = (0.5 * np.sin(2 * np.pi * 500 * np.arange(rate) / rate)).astype(np.float32)
    for encode in (page.mp3, page.flac):
        decoded, decoded_rate = soundfile.read(io.BytesIO(encode(tone, rate)))
        assert len(decoded) / decoded_rate == pytest.approx(1, abs=0.3 if rate < 16000 else 0.1)
        middle = decoded[len(decoded) // 4: len(decoded) // 2]
        assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)
        loudest = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax()
        assert loudest * decoded_rate / len(middle) == pytest.approx(500, abs=10)


def test_a_peak_above_full_scale_is_divided_out_wherever_it_is():
    """Even a peak within the final fade: the page multiplies by it again."""
    sound = np.full(2000, 0.2, np.float32)
    sound[-2] = 4
    decoded, _ = soundfile.read(io.BytesIO(page.flac(sound, 44100)))
    assert 4 * decoded[:1000] == pytest.approx(sound[:1000], abs=4 * 2**-15)
