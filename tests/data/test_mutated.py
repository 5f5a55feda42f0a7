"""Files that were damaged in any way: no traceback, no hang, no other file lost."""

import io
import random
import re

import numpy as np
import pytest
import soundfile

from rave_lite import InputError
from rave_lite.data import catalogue
from rave_lite.data.audio import Entry
from tests.commands import rave_lite
from tests.conftest import SETTINGS
from tests.data.test_movie import encode

KINDS = [("wav", "PCM_16"), ("wav", "FLOAT"), ("wav", "IMA_ADPCM"), ("aiff", "PCM_24"), ("flac", "PCM_16"),
         ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III"), ("caf", "ALAC_16"), ("w64", "PCM_16"), ("rf64", "PCM_16"),
         ("au", "ULAW"), ("opus", "OPUS")]
EXTREMES = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\1\0\0\0"]
MOVIES = [("m4a", "aac"), ("mov", "pcm_s16le"), ("webm", "libopus"), ("wv", "wavpack"), ("aac", "aac"), ("mp4", "alac")]


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> list[tuple[str, bytes]]:
    """A suffix and the bytes of a quarter of a second, for each kind."""
    sound = (0.3 * np.sin(0.05 * np.arange(12000))).astype(np.float32)
    contents = []
    for suffix, subtype in KINDS:
        file = io.BytesIO()
        soundfile.write(file, sound, 48000, subtype, format={"opus": "OGG", "w64": "W64"}.get(suffix, suffix.upper()))
        contents.append((suffix, file.getvalue()))
    folder = tmp_path_factory.mktemp("originals")
    return contents + [(suffix, encode(folder / f"{codec}.{suffix}", codec, sound, 48000).read_bytes())
                       for suffix, codec in MOVIES]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut off, cut out, doubled, or the header overwritten with extreme numbers."""
    mutant = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, kind = rng.randrange(len(mutant) or 1), rng.randrange(5)
        if kind == 0 and mutant:
            mutant[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del mutant[at:]
        elif kind == 2:
            del mutant[at : at + rng.randrange(64)]
        elif kind == 3:
            mutant[at:at] = mutant[at : at + rng.randrange(64)]
        else:
            at = 4 * rng.randrange(24)
            mutant[at : at + 4] = rng.choice(EXTREMES)
    return bytes(mutant)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_a_hundred_mutants_lose_no_other_file(originals, write, tmp_path, seed):
    rng, folder = random.Random(seed), write("good.wav", 0.3).parent
    expected = write("also good.flac", 0.3)
    for number in range(100):
        suffix, content = originals[number % len(originals)]
        (folder / f"{number}.{suffix}").write_bytes(mutated(content, rng))
    recordings = catalogue(folder, 44100, cache=tmp_path / "cache")
    assert len(recordings.entries) == 102
    assert recordings.entries[expected.name] == Entry(13230, 44100, 1)
    for name, entry in recordings.entries.items():
        assert entry.skipped is None or re.fullmatch(r"[^\n]{5,150}", entry.skipped), (name, entry.skipped)
    for clip in recordings.train + recordings.held_out:
        samples = clip.read()
        assert len(samples) == len(clip)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() < 8
    assert sum(entry.skipped is None for entry in recordings.entries.values()) > 30


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 50))])
def test_training_with_mutants(originals, write, tmp_path, seed):
    rng, folder = random.Random(1000 + seed), write("good.wav", 0.3).parent
    write("also good.wav", 0.3)
    for suffix, content in rng.sample(originals, 3):
        (folder / f"mutant.{suffix}").write_bytes(mutated(content, rng))
    done = rave_lite("train", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", *SETTINGS, "phase1.steps=1",
                     "phase2.steps=0", "logger=csv", "~callbacks.listen", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "step 1 of 1" in done.stdout


def test_what_is_left_of_a_folder_of_mutants_is_named(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.wav").write_bytes(b"RIFF" + bytes(range(256)) * 40)
    (tmp_path / "set/b.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(5000))
    with pytest.raises(InputError, match=r"a\.wav: not readable as audio .*\n.*b\.m4a: not readable as audio"):
        catalogue(tmp_path / "set", 44100, cache=tmp_path / "cache")
