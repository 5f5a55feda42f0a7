"""Files whose header says a wrong length: all that is there is read, and said."""

import io
import re
import struct

import numpy as np
import pytest
import soundfile

from rave_lite import InputError
from rave_lite.data import audio, catalogue
from rave_lite.data.headers import mended
from tests.sounds import printed

SOUND = 0.3 * np.sin(0.05 * np.arange(22050))
NOTE = r"wrong header: it says (no length|\d\.\d\d s); the \d\.\d\d s there are read"
SIZES = {"WAV": (b"data", 4, "<I"), "WAVEX": (b"data", 4, "<I"), "RF64": (b"ds64", 16, "<Q"), "AIFF": (b"SSND", 4, ">I"),
         "AU": (b".snd", 8, ">I"), "CAF": (b"data", 4, ">Q"), "W64": (b"data", 16, "<Q")}  # chunk, offset, format


def encoded(container: str, subtype: str = "PCM_16", channels: int = 1) -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, np.stack([SOUND] * channels, 1), 44100, subtype, format=container)
    return bytearray(file.getvalue())


def with_length(content: bytearray, container: str, length: int) -> bytearray:
    chunk, offset, format_ = SIZES[container]
    struct.pack_into(format_, content, content.find(chunk) + offset, length % 256 ** struct.calcsize(format_))
    return content


def read(content: bytes, tmp_path) -> tuple[np.ndarray, str]:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with audio.opened(path, "x") as file:
        return np.concatenate(list(audio.decode(file, 44100, "x"))), "; ".join(file.notes)


@pytest.mark.parametrize("container", SIZES)
@pytest.mark.parametrize("length", [0, -1, 0x7FFFFFFF, 0x7FFFF000, -36])
def test_of_a_pipe_or_a_dead_recorder_all_is_read(container, length, tmp_path):
    samples, note = read(with_length(encoded(container, channels=2), container, length), tmp_path)
    assert samples == pytest.approx(np.stack([SOUND] * 2, 1), abs=1e-4)
    assert note == "wrong header: it says no length; the 0.50 s there are read" or (container, length) == ("AU", -1)


@pytest.mark.parametrize("riff", [0, 8, -1])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"])
def test_whatever_the_samples_are(riff, subtype, tmp_path):
    expected = soundfile.read(io.BytesIO(encoded("WAV", subtype)), dtype="float32")[0]
    content = with_length(encoded("WAV", subtype), "WAV", 0)
    struct.pack_into("<i", content, 4, riff)
    samples, note = read(content, tmp_path)
    assert np.array_equal(samples[: len(expected), 0], expected)
    assert len(samples) <= len(expected) + 1000  # a block of ADPCM
    assert "no length" in note


@pytest.mark.parametrize("container", SIZES)
def test_of_an_interrupted_copy_what_is_there_is_read(container, tmp_path):
    content = encoded(container)
    samples, note = read(content[: len(content) * 3 // 4], tmp_path)
    assert 16000 < len(samples) < 17000
    assert np.abs(samples[:, 0] - SOUND[: len(samples)]).max() < 1e-3
    assert re.fullmatch(NOTE, note)
    assert "says 0.50 s; the 0.37 s" in note.replace("0.36", "0.37").replace("0.38", "0.37")


@pytest.mark.parametrize("container", SIZES)
def test_a_right_header_is_left_alone(container):
    content = encoded(container)
    assert mended(io.BytesIO(content)) is None
    assert mended(io.BytesIO(content + b"junk" * 1000)) is None or container == "CAF"
    for end in range(0, 60):
        mended(io.BytesIO(content[:end]))


def test_no_samples_are_no_samples(write, tmp_path):
    path = write("no.wav", samples=np.zeros(0))
    with pytest.raises(InputError, match=r"empty \(0 samples\)"):
        audio.load(path, 44100)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")  # tags, no samples
    with pytest.raises(InputError, match=r"empty \(0 samples\)"):
        audio.load(path, 44100)


def test_the_note_is_told_from_the_cache_and_at_a_url_too(write, tmp_path):
    write("good.wav", 0.5)
    path = write("piped.wav", samples=SOUND)
    path.write_bytes(with_length(bytearray(path.read_bytes()), "WAV", -1))
    for place in (path.parent, path.parent, f"file://{path.parent}"):
        recordings = catalogue(place, 44100, cache=tmp_path / "cache")
        assert recordings.entries["piped.wav"].samples == len(SOUND)
        assert "wrong header: it says no length" in " ".join(printed(recordings).replace("│", " ").split())
        clip = next(c for c in recordings.train + recordings.held_out if c.source == "piped.wav")
        assert clip.read() == pytest.approx(SOUND, abs=1e-4)
