"""Training on a share of the files, or on all but some: nested, repeatable, never touching what is held out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rave_lite import InputError
from rave_lite.data import Catalogue, Clip, catalogue, select_training_subset
from rave_lite.data.local import Decoded
from tests.sounds import printed

RATE = 44100


def collection(files: int, clips: int = 1, length: int = RATE) -> Catalogue:
    def clip(name: str, i: int) -> Clip:
        return Clip(name, Decoded(Path("x")), 2 * i * length, (2 * i + 1) * length)

    train = [clip(f"{n}.wav", i) for n in range(files) for i in range(clips)]
    return Catalogue("x", RATE, {}, train, [clip("held.wav", 0)])


def sources(recordings: Catalogue) -> list[str]:
    return list(dict.fromkeys(clip.source for clip in recordings.train))


@given(st.integers(2, 60), st.integers(1, 3), st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 999))
def test_shares_of_files_are_nested_whole_and_as_large_as_requested(files, clips, share_a, share_b, seed):
    recordings = collection(files, clips)
    small, large = sorted([share_a, share_b])
    if small * files < 0.5:
        with pytest.raises(InputError, match=rf"data.fraction: .* of {files} training files is none; say"):
            select_training_subset(recordings, fraction=small, seed=seed)
        return
    first, second = (select_training_subset(recordings, fraction=f, seed=seed) for f in (small, large))
    assert set(sources(first)) <= set(sources(second)) <= set(sources(recordings))
    assert len(sources(first)) == pytest.approx(small * files, abs=0.501)
    assert len(first.train) == clips * len(sources(first))  # no file in part
    assert first.held_out == recordings.held_out
    assert select_training_subset(recordings, fraction=small, seed=seed) == first


@given(st.integers(1, 5), st.floats(0.05, 1), st.floats(0.05, 1), st.integers(0, 999))
def test_shares_of_a_single_file_are_nested_stretches_of_its_seconds(clips, share_a, share_b, seed):
    recordings = collection(1, clips)
    small, large = (select_training_subset(recordings, fraction=f, seed=seed).train for f in sorted([share_a, share_b]))
    for f, part in zip(sorted([share_a, share_b]), (small, large), strict=True):
        assert sum(map(len, part)) == pytest.approx(f * clips * RATE, abs=2 * 0.02 * RATE + 1)  # shreds are left out
    for clip in small:
        assert any(whole.start <= clip.start + 1 and clip.stop - 1 <= whole.stop for whole in large)


def test_another_seed_chooses_other_files_and_all_are_all():
    recordings = collection(20)
    assert len({tuple(sources(select_training_subset(recordings, fraction=0.25, seed=seed))) for seed in range(5)}) == 5
    assert select_training_subset(recordings, fraction=1, seed=3) == recordings
    assert select_training_subset(collection(1), fraction=1, seed=3) == collection(1)


def test_without_some_of_the_share():
    recordings = collection(8)
    half = sources(select_training_subset(recordings, fraction=0.5, seed=1))
    subset = sources(select_training_subset(recordings, fraction=0.5, seed=1, without=[half[0], Path(half[1]).stem]))
    assert subset == half[2:]
    assert sources(select_training_subset(recordings, without=["[0-5].wav"])) == ["6.wav", "7.wav"]
    assert sources(select_training_subset(recordings, without="3")) == [f"{i}.wav" for i in (0, 1, 2, 4, 5, 6, 7)]


@pytest.mark.parametrize(("options", "message"), [
    ({"fraction": 0}, "data.fraction: 0 is no share"), ({"fraction": 1.5}, "1.5 is no share"),
    ({"fraction": "half"}, "'half' is no share"), ({"fraction": 0.05}, "0.05 of 8 training files is none; say 0.12 or more"),
    ({"without": ["77.wav"]}, r"no training file is named '77.wav'; near it: 7.wav"),
    ({"without": ["held"]}, "no training file is named 'held'; there are 0.wav"),
    ({"without": ["*"]}, r"data.without: \*: nothing is left to train on")])
def test_impossible_choices(options, message):
    with pytest.raises(InputError, match=message):
        select_training_subset(collection(8), **options)


def test_a_name_that_looks_like_a_pattern_is_a_name(write, tmp_path):
    for name in ("[a].wav", "a.wav", "deep/[a].wav", "b.wav"):
        write(name)
    recordings = catalogue(tmp_path / "audio", RATE, cache=tmp_path / "cache", held_out=["b"])
    subset = select_training_subset(recordings, without=["[a].wav"])
    assert sources(subset) == sorted(["a.wav", "deep/[a].wav"])
    lines = [line for line in printed(subset).splitlines() if "left out" in line]
    assert len(lines) == 1
    assert "[a].wav" in lines[0]


def test_a_stretch_too_short_to_train_on():
    with pytest.raises(InputError, match=r"0.01 of '0.wav', the only training file, is 0.010 s: too short"):
        select_training_subset(collection(1), fraction=0.01)
