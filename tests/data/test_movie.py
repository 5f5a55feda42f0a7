"""What phones and video cameras write: the sound is read whole, starts where it started, and nothing is passed over."""

import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from rave_lite import InputError
from rave_lite.data import audio, catalogue, movie, scan
from rave_lite.data.level import load
from tests.sounds import RATE, drum, printed

SOUND = (0.5 * np.concatenate([drum(n, 0.31) for n in range(7)])).astype(np.float32)  # 95697 samples, no whole AAC frames
LOSSLESS = [("a.m4a", "alac"), ("a.mov", "pcm_s16le"), ("a.mkv", "flac"), ("a.wv", "wavpack"), ("a.tta", "tta")]
LOSSY = [("a.m4a", "aac"), ("a.mp4", "aac"), ("a.mov", "aac"), ("a.3gp", "aac"), ("a.webm", "libopus")]


def encode(path: Path, codec: str, samples: np.ndarray = SOUND, rate: int = RATE, channels: int = 1,
           picture: bool = False, sound: bool = True) -> Path:
    """Writes samples as the sound of a file, with moving pictures or without."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25, width=32, height=32, pix_fmt="yuv420p") if picture else None
        layout = {1: "mono", 2: "stereo"}[channels]
        stream = container.add_stream(codec, rate=rate, layout=layout, bit_rate=128000) if sound else None
        if video:
            for _ in range(int(len(samples) / rate * 25) + 10):
                container.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
            container.mux(video.encode(None))
        if stream:
            frame = av.AudioFrame.from_ndarray(np.tile(samples, (channels, 1)), "fltp", layout)
            frame.sample_rate, frame.pts = rate, 0
            converter = av.AudioResampler(stream.codec_context.format, layout, rate)
            for part in [*converter.resample(frame), *converter.resample(None), None]:
                container.mux(stream.encode(part))
    return path


@pytest.mark.parametrize(("name", "codec"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_sound_is_exact(tmp_path, name, codec, channels):
    signal = audio.load(encode(tmp_path / name, codec, channels=channels), RATE)
    assert signal.shape == (channels, len(SOUND))
    assert np.abs(signal - SOUND).max() < 1 / 255  # wavpack and tta are written with 8 or 16 bits


@pytest.mark.parametrize(("name", "codec"), LOSSY)
def test_lossy_sound_starts_where_it_started(tmp_path, name, codec):
    rate = 48000 if codec == "libopus" else RATE
    path = encode(tmp_path / name, codec, rate=rate)
    signal = audio.load(path, rate)[0]
    assert len(signal) == (len(SOUND) if codec == "libopus" else -(-len(SOUND) // 1024) * 1024)  # AAC pads its last frame
    decoded, n = signal[: len(SOUND)], len(SOUND) - 4096
    lags = [float(decoded[2048 + lag : n + lag] @ SOUND[2048:n]) for lag in range(-50, 51)]
    assert int(np.argmax(lags)) == 50
    assert np.sqrt(np.mean((decoded - SOUND) ** 2)) < 0.1 * SOUND.std()
    if shutil.which("ffmpeg"):
        command = ["ffmpeg", "-loglevel", "error", "-i", str(path), "-f", "f32le", "-"]
        assert len(subprocess.run(command, capture_output=True, check=True).stdout) == 4 * len(signal)


def test_sound_comes_in_blocks_from_a_film(tmp_path):
    path = encode(tmp_path / "screen.mov", "pcm_s16le", np.resize(SOUND, 7 * audio.BLOCK // 2), channels=2, picture=True)
    with audio.opened(path, "x") as file:
        blocks = list(audio.decode(file, RATE, "x"))
    assert [len(block) for block in blocks] == [audio.BLOCK] * 3 + [audio.BLOCK // 2]
    assert np.abs(np.concatenate(blocks)[:, 1] - np.resize(SOUND, 7 * audio.BLOCK // 2)).max() < 1e-4
    with pytest.raises(InputError, match=r"silent\.mov: not readable as audio \(it holds no sound\)"):
        audio.load(encode(tmp_path / "silent.mov", "", picture=True, sound=False), RATE)


def test_phone_files_are_trained_on_like_their_wav(tmp_path):
    encode(tmp_path / "set/take.m4a", "aac", rate=48000, channels=2)
    encode(tmp_path / "set/voice.amr", "libopencore_amrnb", rate=8000)
    soundfile.write(tmp_path / "set/plain.wav", SOUND, 48000)
    recordings = catalogue(tmp_path / "set", RATE, cache=tmp_path / "cache", held_out=["voice"])
    assert {clip.source for clip in recordings.train} == {"take.m4a", "plain.wav"}
    lengths = {clip.source: len(clip) for clip in recordings.train}
    assert 0 <= lengths["take.m4a"] - lengths["plain.wav"] <= 1024
    assert recordings.entries["take.m4a"].source_rate == 48000
    assert recordings.entries["take.m4a"].channels == 2
    assert recordings.entries["voice.amr"].source_rate == 8000


def test_kinds_that_are_not_read_are_counted_in_one_line_each(tmp_path, write, monkeypatch):
    for name in ("a.wav", "b.wav"):
        write(name, 0.3)
    folder = tmp_path / "audio"
    for name in ("1.aup3", "2.AUP3", "take.m4a", "notes.txt", ".hidden.m4a", "deep/3.aup3"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    with_av = catalogue(folder, RATE, cache=tmp_path / "cache")
    assert with_av.entries["take.m4a"].skipped.startswith("not readable as audio (Invalid data")
    assert with_av.entries["*.aup3"].skipped == "3 files, not read here; save as wav or flac in the program that made them"
    at_url = catalogue(f"file://{folder}", RATE, cache=tmp_path / "cache")
    assert at_url.entries["*.m4a"].skipped == "1 file, not read here; copy them into a folder: at a URL they are not read"
    assert at_url.entries["*.aup3"] == with_av.entries["*.aup3"]
    monkeypatch.setattr(scan, "has_av", lambda: False)
    without_av = catalogue(folder, RATE, cache=tmp_path / "cache")
    assert without_av.entries["*.m4a"].skipped == "1 file, not read here; pip install 'rave_lite[phone]'"
    text = " ".join(printed(without_av).replace("│", " ").split())
    assert "*.m4a skipped: 1 file, not read here; pip install" in text
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        with pytest.raises(InputError, match=r"take\.m4a: not read here; pip install 'rave_lite\[phone\]'"):
            audio.load(folder / "take.m4a", RATE)
    for path in folder.glob("*.wav"):
        path.unlink()
    with pytest.raises(InputError, match=r"none of its 2 audio files is usable:\n  \*\.aup3: 3 files, .*\n.*m4a: 1 file"):
        catalogue(folder, RATE, cache=tmp_path / "cache")


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mkv", "flac"), ("a.webm", "libopus"),
                                             ("a.aac", "aac")])
def test_what_is_cut_short_is_named_or_read_and_said(tmp_path, name, codec):
    path = encode(tmp_path / name, codec, rate=48000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if name == "a.m4a":  # what says where its sound is stands at the end
        with pytest.raises(InputError, match=r"a\.m4a: not readable as audio"):
            load(path, RATE)
        return
    signal, notes = load(path, RATE)
    assert 0.2 * len(SOUND) < signal.shape[1] < 0.8 * len(SOUND)
    assert ("broken at " if name == "a.aac" else "cut short: it says ") in notes[0]


def test_the_rate_may_not_change_within_a_file(tmp_path):
    parts = [encode(tmp_path / f"{rate}.aac", "aac", rate=rate).read_bytes() for rate in (44100, 22050)]
    (tmp_path / "both.aac").write_bytes(b"".join(parts))
    with pytest.raises(InputError, match=r"both\.aac: not readable as audio"):
        audio.load(tmp_path / "both.aac", RATE)
    assert movie.Movie.__doc__
