"""Learning curves: real effects are reported, differences by chance are called chance."""

import math

import numpy as np
import pytest
from scipy import stats

from rave_lite.evaluation import pictures
from rave_lite.evaluation.learning_curve import Point, advice, amount, answer, gain, influences


def curve(distances: dict[float, list[float]], minutes: float = 4.0) -> list[Point]:
    return [Point(f, f * minutes, seed, d, d - 1) for f, row in distances.items() for seed, d in enumerate(row)]


def test_the_gain_is_the_paired_t_interval():
    """Compared with scipy's, with seeds shuffled and an earlier fraction that is to be ignored."""
    rng = np.random.default_rng(0)
    before, after = rng.normal(8, 1, 5), rng.normal(7, 1, 5)
    points = curve({0.25: [99] * 5, 0.5: list(before), 1: list(after)})
    result = gain([points[i] for i in rng.permutation(len(points))])
    interval = stats.ttest_rel(before, after).confidence_interval(0.95)
    assert (result.drop - result.spread, result.drop + result.spread) == pytest.approx((interval.low, interval.high))
    assert result.doublings == pytest.approx(1)
    assert result.minutes == pytest.approx((2, 4))


@pytest.mark.parametrize(("before", "after", "expected"), [
    ([8.0, 9.0, 7.0], [7.5, 8.6, 6.5], "twice the recordings would likely lower it by about 0.47 ± 0.14 more"),
    ([8.0, 9.0, 7.0], [7.5, 9.6, 6.5], "No difference can be seen with 3 seeds"),
    ([7.5, 8.6, 6.5], [8.0, 9.0, 7.0], "More of these recordings does not help"),
    ([8.0], [7.0], "One seed cannot tell that from chance")])
def test_the_answer(before, after, expected):
    assert expected in answer(gain(curve({0.5: before, 1: after})))


def test_chance_is_seldom_called_an_effect():
    """Of 2000 curves without any effect, about 5 in 100."""
    rng = np.random.default_rng(0)
    clear = [gain(curve({0.5: list(rng.normal(8, 1, 3)), 1: list(rng.normal(8, 1, 3))})).clear for _ in range(2000)]
    assert 0.035 < np.mean(clear) < 0.065


def left_out(rng: np.random.Generator, files: int, seeds: int, effect: float) -> tuple[list[Point], list[Point]]:
    """Runs in which leaving the second file out lowers the distance by `effect`; seeds vary ten times as much as runs."""
    bad = rng.normal(0, 1, seeds)
    whole = [Point(1, 4, s, 8 + bad[s], 7) for s in range(seeds)]
    without = [Point(1, 4, s, 8 + bad[s] + rng.normal(0, 0.1) - effect * (i == 1), 7, f"{i}.wav")
               for i in range(files) for s in range(seeds)]
    return whole, without


def test_the_file_that_hurts_is_found_and_chance_is_not():
    rng = np.random.default_rng(0)
    rows = influences(*left_out(rng, 10, 3, 1.0))
    assert rows[0].source == "1.wav"
    assert rows[0].change == pytest.approx(-1, abs=0.2)
    assert [r.stands_out for r in rows] == [True] + [False] * 9
    assert [r.change for r in rows] == sorted(r.change for r in rows)
    assert "listen to 1.wav" in advice(rows)
    assert "0.wav" not in advice(rows)
    helping = influences(*left_out(rng, 10, 3, -1.0))
    assert helping[-1].source == "1.wav"
    assert "higher: more like it would help" in advice(helping)
    wrong = [any(r.stands_out for r in influences(*left_out(rng, 10, 2, 0.0))) for _ in range(400)]
    assert 0.01 < np.mean(wrong) < 0.1  # 5 in 100 by design
    assert "No file's influence stands out from chance with 3 seeds" in advice(influences(*left_out(rng, 10, 3, 0.0)))


def test_one_seed_tells_no_chance():
    rows = influences(*left_out(np.random.default_rng(0), 3, 1, 1.0))
    assert rows[0].source == "1.wav"
    assert all(math.isinf(r.spread) and not r.stands_out for r in rows)
    assert "One seed cannot tell" in advice(rows)


def test_the_picture_shows_every_run():
    points = curve({0.25: [9.0, 8.5], 0.5: [8.0, 8.2], 1: [7.5, 7.4]})
    ax = pictures.learning_curve(points, "t").axes[0]
    drawn = {(round(x, 6), round(y, 6)) for line in ax.lines for x, y in zip(*line.get_data(), strict=True)}
    assert {(p.minutes, p.held_out) for p in points} <= drawn
    assert {(1.0, 8.75), (2.0, 8.1), (4.0, 7.45)} <= drawn  # the means
    assert [label.get_text() for label in ax.get_xticklabels()] == ["60 s\n0.25", "2.0 min\n0.5", "4.0 min\n1"]


def test_amounts():
    assert [amount(m) for m in (0.01, 0.1, 1.5, 2, 61.26)] == ["0.6 s", "6 s", "90 s", "2.0 min", "61.3 min"]
