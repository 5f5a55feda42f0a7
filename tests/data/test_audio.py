"""Reading what libsndfile reads, and refusing what is broken, by name and reason."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from rave_lite import InputError
from rave_lite.data import audio
from rave_lite.data.scan import find
from tests.sounds import broken


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.AIF", "a.WAV"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format(write, name, channels):
    path = write(name, 0.5, channels=channels)
    signal = audio.load(path, 44100)
    assert signal.shape[0] == channels
    assert abs(signal.shape[1] - 22050) < 3000  # lossy formats pad
    assert 0.01 < signal.std() < 0.3
    assert find(path.parent) == ([path], {})


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000, 192000])
def test_resampling_keeps_a_tone_in_place(write, rate):
    t = np.arange(rate * 2) / rate
    path = write("tone.wav", samples=0.5 * np.sin(2 * np.pi * 1000 * t), rate=rate, subtype="FLOAT")
    signal = audio.load(path, 44100)[0]
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(len(signal)) / 44100)
    assert abs(len(signal) - 88200) <= 1
    assert np.abs(signal - expected)[2000:-2000].max() < 1e-3


def test_long_files_come_in_blocks(write):
    rng = np.random.default_rng(0)
    path = write("long.wav", samples=rng.standard_normal(3 * audio.BLOCK + 17).astype(np.float32) / 8, subtype="FLOAT")
    blocks = list(audio.blocks(path, 44100))
    assert max(map(len, blocks)) <= audio.BLOCK
    assert np.array_equal(np.concatenate(blocks)[:, 0], soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize(("kind", "reason"), [
    ("text", "not readable as audio"), ("zero bytes", "not readable as audio"),
    ("truncated header", "not readable as audio"), ("no samples", r"empty \(0 samples\)"),
    ("NaN", r"NaN or infinite samples, the first at 0\.010 s")])
def test_broken_files_are_named_with_the_reason(kind, reason, write):
    path = broken(kind, write)
    with pytest.raises(InputError, match=f"broken.wav: {reason}"):
        audio.load(path, 44100)


@pytest.mark.parametrize("name", ["half.flac", "half.ogg", "half.mp3"])
def test_truncated_compressed_files_are_refused(name, write):
    path = write(name, 3.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=name):
        audio.load(path, 44100)


def test_saving_turns_down_instead_of_clipping(tmp_path):
    audio.save(tmp_path / "new" / "x.wav", np.array([[0.5, -2.0, 1.0]]), 44100)
    assert soundfile.read(tmp_path / "new" / "x.wav")[0] == pytest.approx([0.25, -1, 0.5], abs=1e-6)


@given(st.sets(st.from_regex(r"([a-cA]/)?[aA]([.]wav)?[.](wav|flac|WAV)", fullmatch=True), min_size=1))
def test_no_two_files_become_one(names):
    wav_names = audio.as_wav(sorted(names))
    assert len({name.casefold() for name in wav_names}) == len({name.casefold() for name in names})
    assert all(name.endswith(".wav") for name in wav_names)


def test_what_wav_files_are_called():
    assert audio.as_wav(["a.flac", "b/a.ogg", "roll.2.wav"]) == ["a.wav", "b/a.wav", "roll.2.wav"]
    assert audio.as_wav(["a.flac", "a.wav", "b.mp3"]) == ["a.flac.wav", "a.wav.wav", "b.mp3.wav"]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("samples", [882, 1001])
def test_odd_sizes_are_not_truncated(write, subtype, samples):
    assert audio.load(write("odd.wav", samples=np.full(samples, 0.25), subtype=subtype), 44100).shape == (1, samples)


@pytest.mark.parametrize(("rate", "fault"), [(1, "a sampling rate of 1 Hz"), (2**31 - 1, "a sampling rate of 2,147,")])
def test_a_rate_that_is_none_is_refused(write, rate, fault):
    with pytest.raises(InputError, match=f"rate.wav: {fault}"):
        audio.load(write("rate.wav", samples=np.full(1000, 0.25), rate=rate), 44100)


def test_many_channels_are_read_in_smaller_blocks(write):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (20000, 200)).astype(np.float32)
    path = write("many.wav", samples=sound, subtype="FLOAT")
    blocks = list(audio.blocks(path, 44100))
    assert max(block.size for block in blocks) <= 8 * audio.BLOCK
    assert np.array_equal(np.concatenate(blocks), sound)
