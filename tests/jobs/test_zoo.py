"""A folder of what people have: every command uses each file or names it with a reason."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rave_lite.data import audio, manifest
from tests.commands import fails, rave_lite
from tests.conftest import SETTINGS
from tests.data.test_movie import encode
from tests.sounds import RATE, drum

SKIPPED = {"empty.wav": "not readable as audio", "inf.wav": "NaN or infinite samples", "text.wav": "not readable as audio",
           "half.flac": "not readable as audio", "zero.wav": "empty (0 samples)", "gone.wav": "a link to what is not there",
           "*.aup3": "1 file, not read here"}
ONLY_QUIET = {"one.wav": "shorter than 20 ms", "silent.wav": "silent (peak below -80 dBFS)"}  # reconstruct plays them
NOTES = {"piped.wav": "it says no length; the 0.40 s there are read", "crashed.wav": "it says no length; the 0.40 s there",
         "cut.wav": "it says 0.40 s; the 0.20 s there", "scaled.wav": "divided by 2^15",
         "dc.wav": "DC offset of +0.500 removed"}
PLAIN = ["u8.wav", "f64.wav", "ulaw.wav", "adpcm.wav", "rf64.wav", "a.w64", "a.caf", "a.au", "a.aif", "six.wav", "left.wav",
         "8k.wav", "192k.wav", "junk.wav", "link.wav", "phone.m4a", "phone.aac", "screen.mov", "voice.amr", "far/linked.wav",
         "names/🥁 [drum](1), 鼓.wav", "names/UPPER.WAV", f"names/{'a' * 240}.wav", "names/-dash.wav", "s24 copy.wav",
         "s24.wav"]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> Path:
    """The files of NOTES, PLAIN and so on, made of one drum."""
    folder, x = tmp_path_factory.mktemp("zoo") / "zoo", 0.7 * drum(0)
    (folder / "names").mkdir(parents=True)

    def write(name: str, samples: np.ndarray = x, subtype: str = "PCM_16", rate: int = RATE,
              container: str = "WAV") -> bytearray:
        soundfile.write(folder / name, samples, rate, subtype, format=container)
        return bytearray((folder / name).read_bytes())

    for name, subtype in {"u8": "PCM_U8", "f64": "DOUBLE", "ulaw": "ULAW", "adpcm": "IMA_ADPCM", "s24": "PCM_24"}.items():
        write(f"{name}.wav", subtype=subtype)
    for name, container in {"rf64.wav": "RF64", "a.w64": "W64", "a.caf": "CAF", "a.au": "AU", "a.aif": "AIFF"}.items():
        write(name, container=container)
    write("six.wav", np.stack([x, x / 2, x / 5, 0 * x, x / 10, x / 10], 1))
    write("left.wav", np.stack([x, 0 * x], 1))
    for name, samples in {"one": x[:1], "zero": x[:0], "silent": 0 * x}.items():
        write(f"{name}.wav", samples)
    write("scaled.wav", 32767 * x, "FLOAT")
    write("dc.wav", 0.3 * x + 0.5, "FLOAT")
    write("inf.wav", np.where(np.arange(len(x)) == 500, np.inf, x), "FLOAT")
    write("8k.wav", x[::5], rate=8000)
    write("192k.wav", np.repeat(x, 4), rate=192000)
    content = write("junk.wav")
    for name, length in {"piped.wav": 0xFFFFFFFF, "crashed.wav": 0}.items():
        size = struct.pack("<I", length)
        (folder / name).write_bytes(content[:4] + size + content[8:40] + size + content[44:])
    (folder / "cut.wav").write_bytes(content[: 44 + len(x)])
    (folder / "junk.wav").write_bytes(content + b"junk" * 1000)
    half = write("half.flac", container="FLAC")
    (folder / "half.flac").write_bytes(half[: len(half) // 2])
    (folder / "text.wav").write_text("this is not audio\n" * 50)
    (folder / "empty.wav").touch()
    (folder / "song.aup3").write_bytes(b"x")
    (folder / "._a.aif").write_bytes(b"\0\5\26\7" + bytes(4092))
    for name in [name for name in PLAIN if name.startswith(("names", "s24 copy"))]:
        shutil.copy(folder / "s24.wav", folder / name)
    (folder.parent / "elsewhere").mkdir()
    shutil.copy(folder / "s24.wav", folder.parent / "elsewhere/linked.wav")
    for name, target in {"loop": ".", "gone.wav": "/nowhere/x.wav", "link.wav": "f64.wav", "far": "../elsewhere"}.items():
        (folder / name).symlink_to(target)
    sound = x.astype(np.float32)
    encode(folder / "phone.m4a", "aac", sound, 48000, channels=2)
    encode(folder / "phone.aac", "aac", sound)
    encode(folder / "screen.mov", "aac", sound, picture=True)
    encode(folder / "voice.amr", "libopencore_amrnb", sound, 8000)
    return folder


@pytest.fixture(scope="module")
def run(zoo, tmp_path_factory) -> tuple[Path, str]:
    """A run that was trained on the zoo, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    done = rave_lite("train", f"data.root={zoo}", f"data.cache={folder / 'cache'}", *SETTINGS, "phase1.steps=2",
                     "phase2.steps=0", "logger=csv", "name=zoo", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def told(output: str, names: dict[str, str], word: str) -> None:
    """Each name is in the output with its word and reason, however the lines were broken."""
    text = "".join(output.replace("│", "").split())
    for name, reason in names.items():
        assert "".join(name.split()) in text, name
        assert "".join(reason.split()) in text, (name, reason)
    assert text.count(word) >= len(names)


def test_train(run):
    told(run[1], SKIPPED | ONLY_QUIET, "skipped:")
    told(run[1], NOTES, "")


def test_curate(zoo, run):
    done = rave_lite("curate", f"data.root={zoo}", f"data.cache={run[0] / 'cache'}", "out=curated", cwd=run[0])
    assert done.returncode == 0, done.stderr
    told(done.stdout, SKIPPED | ONLY_QUIET, "skipped:")
    told(done.stdout, NOTES, "note:")
    assert {hit.file for hit in manifest.read(run[0] / "curated/manifest.csv")} == {*PLAIN, *NOTES}


@pytest.mark.parametrize("command", [["evaluate", "ckpt=runs/zoo/checkpoints/last.ckpt"],
                                     ["listen", "runs/zoo/checkpoints/last.ckpt", "out=heard"]])
def test_evaluate_and_listen(run, command):
    done = rave_lite(*command, f"data.cache={run[0] / 'cache'}", cwd=run[0])
    assert done.returncode == 0, done.stderr
    told(done.stdout, SKIPPED | ONLY_QUIET, "skipped:")
    told(done.stdout, NOTES, "note:")


def test_reconstruct(zoo, run):
    fails("empty.wav: not readable", "reconstruct", "ckpt=runs/zoo/checkpoints/last.ckpt", f"input={zoo}", "out=played",
          cwd=run[0])
    written = {str(path.relative_to(run[0] / "played")) for path in (run[0] / "played").rglob("*.wav")}
    assert written == {f"{name}.wav" for name in (*PLAIN, *NOTES, *ONLY_QUIET)}
    scaled, plain = (audio.load(run[0] / f"played/{name}.wav.wav", RATE) for name in ("scaled", "f64"))
    assert scaled == pytest.approx(plain, abs=1e-3)
