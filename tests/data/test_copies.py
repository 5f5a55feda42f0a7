"""Copies and near copies of a take are on one side of the split; strokes that are only alike are not near copies."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from rave_lite.data import Clip, audio, catalogue, drums
from rave_lite.data.copies import (
    MOST_FILES,
    NEAR,
    SAME_TAKE,
    likeness,
    near_copies,
    spectrum,
    split_by_take,
    without_edges,
)
from rave_lite.data.settings import load_training_catalogue
from rave_lite.data.sides import contents
from rave_lite.notes import note_once
from tests.data.test_sides import data, names, sound, start
from tests.sounds import clip

RATE = 44100


@pytest.fixture(scope="module")
def strokes(tmp_path_factory) -> dict[str, np.ndarray]:
    """The strokes of the built-in set, three of each kind, and its rhythms."""
    folder = tmp_path_factory.mktemp("set")
    return {path.stem + path.parent.stem: without_edges(audio.load(path, RATE)[0])
            for path in drums.write(folder, hits=3) if path.is_relative_to(folder / "drums")}


def encoded(samples: np.ndarray, path: Path, **options) -> np.ndarray:
    soundfile.write(path, samples / max(1, np.abs(samples).max()), RATE, **options)
    return audio.load(path, RATE)[0]


def versions(x: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """What people have of one take."""
    at48 = soxr.resample(x, RATE, 48000)
    mp3 = encoded(x, folder / "x.mp3", bitrate_mode="CONSTANT", compression_level=0.6)  # about 160 kbit/s
    return {"mp3": mp3, "mp3, late": np.pad(mp3, (1105, 0)), "quiet": 0.1 * x, "inverted": -x,
            "trimmed": x[: len(x) * 7 // 10], "faded": x * np.linspace(1, 0, len(x)),
            "resampled": soxr.resample(at48, 48000, RATE).astype(np.float32),
            "with silence": np.pad(x, (3000, 9000))}


def test_near_copies_are_found_and_strokes_that_are_alike_are_not(strokes, tmp_path):
    rows = {}
    for name, x in list(strokes.items())[::4]:
        rows[name] = {kind: (likeness(x, y, RATE), np.linalg.norm(spectrum(x, RATE) - spectrum(y, RATE)))
                      for kind, y in ((kind, without_edges(y)) for kind, y in versions(x, tmp_path).items())}
    found = np.mean([same > SAME_TAKE and distance < NEAR for row in rows.values() for same, distance in row.values()])
    assert found == 1, rows
    clips = [clip(name, x) for name, x in strokes.items()]
    assert near_copies(clips[::2], clips[1::2], RATE) == {}
    likest = sorted(((np.linalg.norm(spectrum(x, RATE) - spectrum(y, RATE)), n, m) for n, x in strokes.items()
                     for m, y in strokes.items() if n < m))[:60]
    assert max(likeness(strokes[n], strokes[m], RATE) for _, n, m in likest) < SAME_TAKE - 0.04


def test_a_stroke_in_a_rhythm_or_a_shared_sample_in_two_loops_is_no_near_copy():
    kick, hats = (np.random.default_rng(i).standard_normal(4000) * np.exp(-np.arange(4000) / 900) for i in (1, 2))
    loops = []
    for seed in range(8):
        loop, rng = np.zeros(2 * RATE), np.random.default_rng(seed)
        for at in rng.permutation(16)[:8] * 5000:
            loop[at : at + 4000] += kick if rng.random() < 0.5 else 0.7 * hats
        loops.append(loop)
    assert likeness(kick, loops[0], RATE) == 0
    assert max(likeness(x, y, RATE) for i, x in enumerate(loops) for y in loops[:i]) < SAME_TAKE - 0.1
    assert likeness(loops[0], loops[0][5000:], RATE) > 0.99


def test_copies_are_on_one_side_and_told_once(write, tmp_path, capsys):
    for i in range(6):
        path = write(f"{i}.wav")
        for k in range(i % 3):
            shutil.copy(path, path.with_name(f"{i} copy {k}.wav"))
    note_once.cache_clear()
    sides = set()
    for seed in range(8):
        recordings = catalogue(tmp_path / "audio", RATE, cache=tmp_path / "cache", seed=seed, held_out=0.3, by_take=True)
        train, held = ({*contents(side).values()} for side in (recordings.train, recordings.held_out))
        assert not train & held
        assert (len(train), len(held)) == (4, 2)
        sides |= set(names(recordings.held_out))
    assert "1.wav" in sides
    assert "1 copy 0.wav" in sides
    assert capsys.readouterr().out == (f"note: {tmp_path / 'audio'}: 6 of 12 recordings are copies of others, on the same "
                                       "side: 1.wav, 2 copy 1.wav, 2.wav and 3 more\n")


def test_copies_of_named_files_are_held_out_too(root):
    shutil.copy(root / "3.wav", root / "again.wav")
    recordings, _ = start(root, held_out=["3"])
    assert names(recordings.held_out) == ["3.wav", "again.wav"]


def test_copies_of_a_lone_file_are_a_lone_file(tmp_path):
    shutil.copy(sound(tmp_path / "audio", "a.wav", 1, seconds=6), tmp_path / "audio/b.wav")
    recordings, _ = start(tmp_path / "audio")
    assert names(recordings.train) == names(recordings.held_out) == ["a.wav"]
    assert recordings.train[-1].stop < recordings.held_out[0].start


@pytest.fixture
def root(tmp_path) -> Path:
    for i in range(8):
        sound(tmp_path / "audio", f"{i}.wav", i, seconds=0.3)
    return tmp_path / "audio"


def test_near_copies_of_what_is_held_out_are_held_out_too(root, capsys):
    first, used = start(root)
    held, trained = names(first.held_out)[0], names(first.train)[0]
    for name, target in ((held, "held.mp3"), (trained, "trained.mp3")):
        soundfile.write(root / target, soundfile.read(root / name)[0], RATE)
    capsys.readouterr()
    resumed, _ = start(root, used)  # new files: one joins the training, the other is a near copy
    assert names(resumed.train) == [*names(first.train), "trained.mp3"]
    assert names(resumed.held_out) == names(first.held_out)
    assert "1 recording is left out, being copies or near copies: held.mp3" in capsys.readouterr().out
    named, _ = start(root, held_out=[held])
    assert "held.mp3" in names(named.train)
    assert f"near copies of what is held out are trained on: held.mp3 (of {held}). Name" in capsys.readouterr().out
    for seed in range(4):
        recordings, _ = start(root, held_out=0.2, split_seed=seed)
        sides = [set(names(side)) for side in (recordings.train, recordings.held_out)]
        assert any({held, "held.mp3"} <= side for side in sides)
        assert any({trained, "trained.mp3"} <= side for side in sides)


def test_an_old_run_without_memory_goes_on_as_it_was_split(root):
    shutil.copy(root / "3.wav", root / "again.wav")
    used = data(root)
    old = catalogue(root, RATE, cache=used["cache"], held_out=0.3)
    resumed = load_training_catalogue(str(root), used, RATE, data(root))
    assert (resumed.train, resumed.held_out) == (old.train, old.held_out)


class Unread:
    """Samples that are not to be read."""

    def __init__(self, content: int):
        self.content = str(content)

    def read(self, start: int, stop: int) -> np.ndarray:
        raise AssertionError("read")


def test_large_collections_are_not_read_for_near_copies():
    many = [Clip(f"{i}.wav", Unread(i), 0, 2000) for i in range(MOST_FILES + 1)]
    long = [Clip(f"{i}.wav", Unread(i), 0, 600 * RATE) for i in range(61)]
    for clips in (many, long):
        assert near_copies(clips[:9], clips[9:], RATE) == {}
        train, held = split_by_take("drums", clips, RATE, 0.1, 0)
        assert len(train) + len(held) == len(clips)
