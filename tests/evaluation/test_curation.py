"""Curation: recordings are cut at their hits, unusual hits score highest, and the order of files does not matter."""

import numpy as np
import pytest
from rich.console import Console

from rave_lite.data import Clip, manifest
from rave_lite.evaluation.curation import LINKED, MAX_GROUPS, by_group, curate, groups, outliers, standardised, table
from rave_lite.evaluation.hits import hits
from tests.sounds import RATE, bell, clip, drum


def rhythm(times: list[float], seconds: float) -> np.ndarray:
    sound = np.zeros(round(seconds * RATE))
    for n, time in enumerate(times):
        at = round(time * RATE)
        hit = drum(n)[: len(sound) - at]
        sound[at : at + len(hit)] += 0.5 * hit
    return sound


def test_a_long_recording_is_cut_just_before_its_hits():
    times = [0.5, 1.0, 1.25, 1.4, 2.5, 3.3, 59.2, 60.03, 61.0, 64.5]
    cut = hits(clip("rhythm", rhythm(times, 66)), RATE, 4.0)
    assert [c.start for c in cut[1:]] == [c.stop for c in cut[:-1]]  # end to end
    assert (cut[0].start, cut[-1].stop) == (0, 66 * RATE)
    starts = np.array([c.start / RATE for c in cut])
    assert len(starts) == len(times)  # the silence before the first hit is part of it
    assert (starts[1:] <= times[1:]).all()
    assert (starts[1:] > np.array(times[1:]) - 0.015).all()
    assert starts == pytest.approx(np.round(starts, 3), abs=1 / RATE)


def test_short_recordings_are_one_hit_and_steady_ones_are_cut():
    assert len(hits(clip("short", rhythm([0, 1, 2], 3)), RATE, 4.0)) == 1
    steady = hits(clip("steady", 0.1 * np.random.default_rng(0).standard_normal(25 * RATE)), RATE, 4.0)
    assert steady[-1].stop == 25 * RATE
    assert max(map(len, steady)) <= 10 * RATE + 50
    assert len(hits(clip("silent", np.zeros(30 * RATE)), RATE, 4.0)) == 1


def collection() -> list[Clip]:
    return [clip(f"{n}.wav", make(n)) for n, make in enumerate([drum] * 9 + [bell] * 4 + [drum] * 9)]


def test_the_odd_ones_rank_highest_in_groups_of_their_own():
    rows = curate(collection(), RATE)
    names = [hit.file for hit, _ in rows]
    bells = {f"{n}.wav" for n in range(9, 13)}
    assert set(names[:4]) == bells
    assert rows[3][0].outlier > 2 > rows[4][0].outlier
    assert np.median([hit.outlier for hit, _ in rows[4:]]) == pytest.approx(1, abs=0.2)
    assert not {hit.group for hit, _ in rows[:4]} & {hit.group for hit, _ in rows[4:]}
    assert all(hit.keep for hit, _ in rows)
    assert [hit.keep for hit, _ in curate(collection(), RATE, keep_below=2.0)] == [False] * 4 + [True] * 18


def test_the_order_of_files_does_not_matter():
    clips = collection()
    shuffled = [clips[i] for i in np.random.default_rng(0).permutation(len(clips))]
    assert [hit for hit, _ in curate(shuffled, RATE)] == [hit for hit, _ in curate(clips, RATE)]


@pytest.mark.parametrize("clips", [
    [clip("one", drum(0))], [clip("one", drum(0)), clip("two", bell(0))], [clip("silent", np.zeros(RATE))],
    [clip("click", np.ones(882)), clip("silent", np.zeros(882)), clip("hit", drum(0))],
    [clip(str(n), drum(0)) for n in range(12)]])
def test_small_collections(clips, tmp_path):
    rows = [hit for hit, _ in curate(clips, RATE)]
    assert len(rows) == len(clips)
    assert all(np.isfinite(hit.outlier) and hit.group >= 1 for hit in rows)
    manifest.write(tmp_path / "m.csv", rows)
    assert manifest.read(tmp_path / "m.csv") == rows
    if len({hit.file for hit in rows}) in (1, 2, 12):  # alone, a pair, or all the same: nothing is unusual
        assert {(hit.group, hit.outlier) for hit in rows} == {(1, 1.0)}


def test_groups_of_points():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(5), [30, 20, 15, 10, 5])
    wide = 10 * rng.standard_normal((5, 30))[truth] + 3 * rng.standard_normal((80, 30))
    assert (groups(standardised(wide)) == truth + 1).all()  # the largest is the first
    flat = standardised(10 * rng.standard_normal((5, 4))[truth] + 0.3 * rng.standard_normal((80, 4)))
    assert all(len(set(truth[groups(flat) == label])) == 1 for label in groups(flat))  # split maybe, never mixed
    assert np.bincount(groups(rng.standard_normal((60, 30))))[1] > 50  # one cloud
    assert 5 < groups(rng.standard_normal((400, 2))).max() <= MAX_GROUPS


def test_large_collections_follow_their_nearest():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 2 * LINKED)
    points = np.eye(3)[truth] * 20 + rng.standard_normal((len(truth), 3))
    labels = groups(points)
    assert labels.max() <= MAX_GROUPS
    for label in range(3):
        assert not set(labels[truth == label]) & set(labels[truth != label])
        assert np.bincount(labels[truth == label]).max() > 0.6 * (truth == label).sum()


def test_outlier_scores_are_multiples_of_the_typical_distance():
    line = np.arange(40.0)[:, None]
    scores = outliers(np.concatenate([line, [[100.0]]]))
    assert scores[20] == 1
    assert scores[-1] == pytest.approx(np.mean([61, 62, 63, 64, 65]) / np.mean([1, 1, 2, 2, 3]))


def test_the_table_names_groups_in_the_order_of_the_page():
    rows = [hit for hit, _ in curate(collection(), RATE)]
    assert by_group(rows).keys() == {hit.group for hit in rows}
    console = Console(width=120, record=True)
    console.print(table(rows))
    shown = [line.split("│")[1].strip() for line in console.export_text().splitlines() if line.startswith("│")]
    assert shown == [str(number) for number in by_group(rows)]
    assert {hit.file for hit in by_group(rows)[int(shown[0])]} <= {f"{n}.wav" for n in range(9, 13)}
