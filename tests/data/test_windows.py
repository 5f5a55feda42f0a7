"""Windows: reproducible, composed of whole hits, tails kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite.data import Clip, Pieces, Windows, bounded, match_lengths, pieces, subsample
from rave_lite.data.local import Decoded
from rave_lite.data.windows import FADE, CountFrom, lay
from tests.sounds import clip_file


def test_windows_depend_on_seed_and_number_alone(tmp_path):
    rng = np.random.default_rng(0)
    clips = [clip_file(tmp_path, str(i), rng.standard_normal(n)) for i, n in enumerate([900, 3000, 50000])]
    first, second = (Windows(clips, length=4096, sample_rate=44100, seed=3) for _ in range(2))
    later = [first[i] for i in range(20)][10:]
    assert all(torch.equal(a, second[i]) for a, i in zip(later, range(10, 20), strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], Windows(clips, length=4096, sample_rate=44100, seed=4)[0])
    assert first[0].shape == (1, 4096)


def test_short_hits_are_whole_and_apart(tmp_path):
    windows = Windows([clip_file(tmp_path, "hit", np.full(1000, 0.5))], length=8192, sample_rate=44100, gap=0.01)
    silences = set()
    for i in range(20):
        edges = np.flatnonzero(np.diff(windows[i][0].numpy() > 0))
        sounding = windows[i][0].numpy()[edges[:-1] + 1] > 0
        lengths = np.diff(edges)
        assert (lengths[sounding] % 1000 == 0).all()  # whole; two in a row where the silence between was none
        assert sounding.sum() >= 3
        silences.update(lengths[~sounding].tolist())
    assert max(silences) <= 441
    assert len(silences) > 20


def test_windows_cover_every_part_of_a_long_file_tail_and_head_included(tmp_path):
    ramp = clip_file(tmp_path, "ramp", np.arange(1, 40001) / 40000)
    windows = Windows([ramp], length=2048, sample_rate=44100, gap=0.0)
    covered = np.zeros(40000, bool)
    for i in range(800):
        positions = np.round(windows[i][0].numpy().astype(np.float64) * 40000).astype(int)
        covered[positions[(positions > 0)] - 1] = True
    assert covered[FADE:-FADE].mean() > 0.99
    assert covered[-200:-FADE].all()
    assert covered[FADE:200].all()


def test_long_files_count_by_length_and_short_hits_are_not_lost(tmp_path):
    """A clip four windows long is drawn four times as often as one of a window, and so is a hit of a sixteenth."""
    clips = [clip_file(tmp_path, str(n), np.ones(n)) for n in (4096, 16384, 256)]
    windows = Windows(clips, length=4096, sample_rate=44100)
    assert windows.probability == pytest.approx([1 / 9, 4 / 9, 4 / 9])


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(-400, 299))
def test_laying_a_clip_is_a_faded_copy(tmp_path_factory, length, position):
    source = clip_file(tmp_path_factory.mktemp("clips"), "x", np.ones(length))
    window = np.zeros(300, np.float32)
    if position + length <= 0:
        return
    lay(window, source, position)
    t = np.arange(300) - position
    inside = (t >= 0) & (t < length)
    expected = np.where(inside, np.minimum(1, np.minimum(t + 1, length - t) / FADE), 0)
    assert window == pytest.approx(expected, abs=1e-6)


def test_pieces_cover_each_clip(tmp_path):
    clips = [clip_file(tmp_path, "a", np.arange(25)), clip_file(tmp_path, "b", np.arange(7))]
    dataset = Pieces(pieces(clips, 10, 1.0))
    assert [(len(x[0]), name) for x, name in (dataset[i] for i in range(len(dataset)))] == [
        (8, "a"), (8, "a"), (9, "a"), (7, "b")]
    # in equal parts: an unequal last one could be a tail of silence, whose distance is unbounded
    assert torch.cat([dataset[i][0][0] for i in range(3)]).tolist() == list(range(25))


def of(*lengths: int) -> list[Clip]:
    return [Clip(f"{i}", Decoded(Path("nowhere")), 10 * i, 10 * i + n) for i, n in enumerate(lengths)]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.lists(st.integers(1, 500), min_size=1, max_size=12),
       st.integers(0, 3))
def test_matched_clips_are_of_near_lengths_and_used_equally_often(held_out, train, seed):
    candidates, chosen = of(*train), match_lengths(of(*held_out), of(*train), seed)
    assert len(chosen) == len(held_out)
    for match, length in zip(chosen, held_out, strict=True):
        whole = candidates[int(match.source)]
        assert (match.start, len(match)) == (whole.start, min(length, len(whole)))
    uses = [sum(match.source == c.source for match in chosen) for c in candidates]
    assert max(uses) - min(uses) <= 1
    first, ratios = chosen[0], [max(n, held_out[0]) / min(n, held_out[0]) for n in train]
    assert ratios[int(first.source)] == pytest.approx(min(ratios))


def test_of_equally_long_candidates_the_seed_decides():
    draws = {tuple(match.source for match in match_lengths(of(5, 5), of(*[5] * 9), seed)) for seed in range(8)}
    assert len(draws) > 4
    assert match_lengths(of(5, 5), of(*[5] * 9), 3) == match_lengths(of(5, 5), of(*[5] * 9), 3)


def test_subsampling_draws_the_requested_minutes():
    hour = [Clip("a", Decoded(Path("nowhere")), 5, 5 + 36000), *of(600)]  # at 10 Hz
    assert subsample(hour, 10, 0, minutes=61) == hour
    drawn = subsample(hour, 10, 0, minutes=5)
    assert sum(map(len, drawn)) == 5 * 600
    assert len({(c.source, c.start) for c in drawn}) == 5
    assert all(any(c.source == h.source and h.start <= c.start < c.stop <= h.stop for h in hour) for c in drawn)
    assert subsample(hour, 10, 1, minutes=5) != drawn == subsample(hour, 10, 0, minutes=5)
    assert len(subsample(hour, 10, 0, minutes=0.1)) == 1


def test_count_from():
    numbers = iter(CountFrom(7))
    assert [next(numbers) for _ in range(3)] == [7, 8, 9]


@given(st.lists(st.integers(1, 600), min_size=1, max_size=600))
def test_a_validation_is_bounded(seconds):
    clips = [Clip(f"{n}.wav", Decoded(Path("x")), 0, 10 * s) for n, s in enumerate(seconds)]
    chosen = bounded(clips, 10)
    assert 1 <= len(chosen) <= 256
    assert sum(map(len, chosen)) <= 6000
    assert chosen == sorted(set(chosen), key=clips.index) == bounded(clips, 10)
    assert (chosen == clips) == (len(clips) <= 256 and sum(seconds) <= 600)
