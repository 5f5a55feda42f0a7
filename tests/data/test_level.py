"""Levels of files: a wrong scale and a DC offset are mended and said, clipped samples and silence are counted."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from rave_lite import InputError
from rave_lite.data import audio, catalogue
from rave_lite.data.level import clipped, load, offset, scale_bits
from rave_lite.data.silence import LevelMeter
from tests.sounds import RATE, drum, printed

SOUND = 0.7 * np.resize(drum(0), RATE).astype(np.float32)


def table(recordings) -> str:
    return " ".join(printed(recordings).replace("│", " ").split())


@pytest.mark.parametrize(("scale", "bits"), [(1, 0), (4, 0), (16, 4), (100, 7), (2**15 - 1, 15), (2**23 - 1, 23),
                                             (2**31, 31)])
def test_integer_sized_samples_are_brought_back(write, tmp_path, scale, bits):
    path = write("loud.wav", samples=scale * SOUND, subtype="FLOAT")
    write("plain.wav", samples=SOUND)
    recordings = catalogue(path.parent, RATE, cache=tmp_path / "cache", held_out=["plain"])
    expected = scale * SOUND / 2**bits
    assert recordings.train[0].read() == pytest.approx(expected, abs=1e-6 * scale / 2**bits)
    assert np.array_equal(recordings.train[0].read(), load(path, RATE)[0][0])
    assert (f"divided by 2^{bits}" in table(recordings)) == (bits > 0)
    assert (f"peak of {20 * np.log10(scale * audio.peak(SOUND)):+.0f} dBFS" in table(recordings)) == (bits > 0)


def test_what_is_on_no_scale_is_left_out_by_name(write, tmp_path):
    path = write("huge.wav", samples=1e12 * SOUND, subtype="FLOAT")
    write("a.wav", samples=SOUND)
    write("b.wav", samples=SOUND)
    entries = catalogue(path.parent, RATE, cache=tmp_path / "cache").entries
    assert entries["huge.wav"].skipped == "samples of up to 9e+11, where 1 is full scale; save it on that scale"
    with pytest.raises(InputError, match=r"huge\.wav: samples of up to 9e\+11"):
        load(path, RATE)


def test_at_a_url_a_wrong_scale_ends_the_run_by_name(write, tmp_path):
    path = write("loud.wav", samples=32767 * np.tile(SOUND, 5), subtype="FLOAT")
    recordings = catalogue(f"file://{path}", RATE, cache=tmp_path / "cache")
    with pytest.raises(InputError, match=r"loud\.wav: peak of \+90 dBFS; repair that file or take it away"):
        recordings.train[0].read()


def test_a_dc_offset_is_removed_and_the_silence_found(write, tmp_path):
    sound = np.concatenate([0.3 * SOUND, np.zeros(2 * RATE), 0.3 * SOUND]).astype(np.float32)
    path = write("dc.wav", samples=np.stack([sound + 0.5, sound - 0.1], 1), subtype="FLOAT")
    write("plain.wav", samples=sound)
    recordings = catalogue(path.parent, RATE, cache=tmp_path / "cache")
    assert "DC offset of +0.200 removed" in table(recordings)
    dc, plain = (recordings.entries[name] for name in ("dc.wav", "plain.wav"))
    assert dc.silent == plain.silent != []
    parts = [[clip.read() for clip in recordings.train + recordings.held_out if clip.source == name]
             for name in ("dc.wav", "plain.wav")]
    for a, b in zip(*parts, strict=True):
        assert a == pytest.approx(b, abs=1e-4)
    signal, notes = load(path, RATE)
    assert signal == pytest.approx(np.stack([sound, sound]), abs=1e-3)
    assert notes == ["DC offset of +0.500 removed", "DC offset of -0.100 removed"]


@given(st.floats(20, 2000), st.floats(0.05, 3), st.floats(-3.2, 3.2), st.floats(0, 20))
def test_a_tone_has_no_dc_offset(frequency, seconds, phase, decay):
    t = np.arange(round(seconds * RATE)) / RATE
    meter = LevelMeter(RATE)
    meter.add((np.sin(2 * np.pi * frequency * t + phase) * np.exp(-decay * t)).astype(np.float32))
    assert offset(meter) == 0


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_clipped_samples_are_counted(write, tmp_path, subtype):
    sine = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    path = write("clip.wav", samples=np.stack([np.clip(2 * sine, -1, 1), 0.5 * sine], 1), subtype=subtype)
    write("full.wav", samples=sine / np.abs(sine).max(), subtype=subtype)
    write("over.wav", samples=4 * sine, subtype="FLOAT")
    recordings = catalogue(path.parent, RATE, cache=tmp_path / "cache")
    count = recordings.entries["clip.wav"].clipped
    assert count == pytest.approx(2 / 3 * RATE, rel=0.01)  # |sin| > 1/2
    assert f"{count:,} clipped samples" in table(recordings)
    assert [recordings.entries[name].clipped for name in ("full.wav", "over.wav")] == [0, 0]


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, -1.0]), max_size=30))
def test_the_count_is_that_of_runs(values):
    runs, expected = np.array(values)[:, None], 0
    for i, value in enumerate(values):
        same = [j for j in range(len(values)) if all(values[k] == value for k in range(min(i, j), max(i, j) + 1))]
        expected += abs(value) == 1 and len(same) >= 3
    assert clipped(runs) == expected


def test_scales():
    assert [scale_bits(peak) for peak in (0, 1, 7.9, 8.1, 128, 129, 2**15, 2**15 + 1, 2**31, 2**32)] == [
        0, 0, 0, 4, 7, 15, 15, 23, 31, None]


def test_the_share_of_silence_is_told(write, tmp_path):
    path = write("long.wav", samples=np.concatenate([SOUND, np.zeros(3 * RATE)]))
    write("a.wav", samples=SOUND)
    assert "75% silence" in table(catalogue(path.parent, RATE, cache=tmp_path / "cache")).replace("74%", "75%")


def test_a_plain_file_is_untouched(write):
    path = write("plain.wav", samples=SOUND, subtype="FLOAT")
    assert np.array_equal(load(path, RATE)[0][0], soundfile.read(path, dtype="float32")[0])
    assert load(path, RATE)[1] == []
