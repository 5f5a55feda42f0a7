"""The index of a folder: what is used, what is skipped and why, the cache, the split."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rave_lite import InputError
from rave_lite.data import Clip, audio, catalogue
from rave_lite.data.local import Decoded
from rave_lite.data.split import split
from tests.sounds import broken, printed


def test_a_folder_tree_is_indexed_and_told(write, tmp_path):
    write("one.wav", 0.5, rate=48000, channels=2)
    write("deep/er/[two].flac", 1.0)
    write("tick.wav", 0.02)
    write("blip.wav", 0.01)
    write("hush.wav", samples=np.zeros(4410))
    broken("text", write)
    (tmp_path / "audio" / "notes.txt").write_text("no audio")
    recordings = catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")
    used = {clip.source: len(clip) for clip in recordings.train + recordings.held_out}
    assert used.keys() == {"one.wav", "deep/er/[two].flac", "tick.wav"}
    assert used["one.wav"] == pytest.approx(22050, abs=1)
    text = printed(recordings)
    for line in ("shorter than 20 ms", "silent", "not readable as audio", "deep/er/[two].flac", "held out", "48000"):
        assert line in text
    minutes = recordings.minutes(recordings.train) + recordings.minutes(recordings.held_out)
    assert minutes == pytest.approx(1.52 / 60, rel=0.01)


def test_nothing_usable_names_folder_and_reasons(write, tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        catalogue(tmp_path / "nowhere", 44100, cache=tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no audio files"):
        catalogue(tmp_path / "empty", 44100, cache=tmp_path / "cache")
    write("hush.wav", samples=np.zeros(4410))
    broken("text", write)
    with pytest.raises(InputError, match=r"audio: none of its 2 audio files is usable:\n.*broken.*\n.*hush.*silent"):
        catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")


def test_the_second_start_decodes_and_hashes_nothing(write, tmp_path, monkeypatch):
    for i in range(5):
        write(f"{i}.wav", 0.3)
    write("blip.wav", 0.01)
    first = catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")
    monkeypatch.setattr(audio, "blocks", lambda *_: pytest.fail("decoded again"))
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed again"))
    assert catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache") == first


def test_the_cache_follows_content_not_names(write, tmp_path):
    path = write("a.wav", 0.3)
    write("b.wav", 0.3)
    catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")
    cached = set((tmp_path / "cache").glob("*.f32"))
    path.rename(path.with_name("renamed.wav"))
    catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")
    assert set((tmp_path / "cache").glob("*.f32")) == cached
    write("b.wav", samples=np.tile([0.25, -0.25], 4410))
    os.utime(tmp_path / "audio" / "b.wav", (time.time() + 5,) * 2)
    recordings = catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")
    changed = next(c for c in recordings.train + recordings.held_out if c.source == "b.wav")
    assert np.abs(changed.read()) == pytest.approx(0.25, abs=1e-4)


def test_a_damaged_cache_is_rebuilt(write, tmp_path):
    write("a.wav", 0.3)
    write("b.wav", 0.3)
    first = catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:10])
    assert catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache") == first
    assert len(first.train[0].read()) == len(first.train[0])


def clips(lengths: list[int]) -> list[Clip]:
    return [Clip(f"{i}.wav", Decoded(Path("x")), 0, n) for i, n in enumerate(lengths)]


@given(st.lists(st.integers(1000, 10**6), min_size=2, max_size=40), st.floats(0.001, 0.999), st.integers(0, 99))
def test_split_is_by_file_and_leaves_both_sides(lengths, fraction, seed):
    all_clips = clips(lengths)
    train, held = split(all_clips, 44100, fraction, seed)
    assert train
    assert held
    assert sorted([c.source for c in train + held]) == sorted(c.source for c in all_clips)
    assert split(all_clips, 44100, fraction, seed) == (train, held)


@given(st.integers(4 * 44100, 10**8), st.floats(0.01, 0.6))
def test_a_lone_file_is_split_by_region_with_a_guard(length, fraction):
    train, held = split(clips([length]), 44100, fraction, 0)
    assert train[0].start == 0
    assert len(train[0]) > 0
    assert held[0].start - train[0].stop >= 44100
    assert held[0].stop == length
    assert len(held[0]) >= 44100


def test_held_out_by_name():
    train, held = split(clips([1, 2, 3]), 44100, ["1", "2.wav"], 0)
    assert [c.source for c in held] == ["1.wav", "2.wav"]
    assert [c.source for c in train] == ["0.wav"]


@pytest.mark.parametrize(("count", "held_out", "message"), [
    (3, ["nothing"], "no usable file is named 'nothing'"), (2, ["0", "1"], "leave files on both sides"),
    (3, [], "leave files on both sides"), (3, 1.5, "not a fraction"), (3, 0, "not a fraction"), (1, 0.1, "cannot be split")])
def test_impossible_splits(count, held_out, message):
    with pytest.raises(InputError, match=message):
        split(clips([44100] * count), 44100, held_out, 0)
