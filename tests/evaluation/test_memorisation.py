"""Memorisation: 0 for what is honest, well or badly; 1 for what plays training hits instead of what it hears."""

from pathlib import Path

import numpy as np
import pytest

from rave_lite.data import Clip
from rave_lite.evaluation.memorisation import known, memorisation, played, points
from tests.data.test_windows import clip
from tests.evaluation.test_embedding import RATE, bell, drum


@pytest.fixture
def sets(tmp_path) -> tuple[list[Clip], list[Clip]]:
    """Strokes as different as those of a drum kit: 16 held-out ones, 24 to train on."""
    made = [clip(tmp_path, f"stroke{n}", stroke(n)) for n in range(40)]
    return made[:16], made[16:]


def stroke(seed: int) -> np.ndarray:
    """Partials and noise of any register, balance and length."""
    rng = np.random.default_rng(seed)
    t = np.arange(RATE // 2) / RATE
    partials = sum(rng.uniform(0, 1) * np.sin(2 * np.pi * rng.uniform(100, 6000) * t) for _ in range(3))
    noise = rng.standard_normal(len(t)) * 10 ** rng.uniform(-3, 0) * np.exp(-t * rng.uniform(0, 100))
    return 0.1 * (partials + noise) * np.exp(-t * rng.uniform(5, 50))


def judged(play, held_out: list[Clip], train: list[Clip]) -> dict[str, float]:
    heard = ([played(c, play(c.read()), RATE) for c in clips] for clips in (held_out, train))
    return memorisation(*heard, known(train, RATE))


def nearest(train: list[Clip]):
    """A model that plays the training hit that sounds most like its input."""
    targets = points(train, RATE)

    def play(x: np.ndarray) -> np.ndarray:
        found = train[int(np.linalg.norm(targets - points([as_clip(x)], RATE), axis=1).argmin())].read()
        return np.pad(found, (0, max(0, len(x) - len(found))))[: len(x)]

    return play


def as_clip(x: np.ndarray) -> Clip:
    class Samples:
        def read(self, start: int, stop: int) -> np.ndarray:
            return x[start:stop]

    return Clip("x", Samples(), 0, len(x))


def noisy(play, level: float):
    """The same with noise that follows the sound, as poor models make it."""
    rng = np.random.default_rng(0)
    return lambda x: play(x) * (1 + level * rng.standard_normal(len(x)))


def test_a_model_that_returns_its_input(sets):
    found = judged(lambda x: x, *sets)
    assert found["memorised"] == found["held_out_share"] == found["training_share"] == 0
    assert found["made_to_reference"] == 0
    assert found["made_to_training"] == pytest.approx(found["reference_to_training"])
    assert found["held_out_octaves"] < -3
    assert (found["held_out_hits"], found["training_hits"]) == (16, 24)


def test_a_model_that_returns_the_nearest_training_hit(sets):
    found = judged(nearest(sets[1]), *sets)
    assert found["memorised"] == 1
    assert found["made_to_training"] < 0.1 * found["reference_to_training"]
    assert found["held_out_octaves"] > 3
    assert found["training_octaves"] < -3


@pytest.mark.parametrize("level", [0.003, 0.03, 0.3])
def test_noise_makes_no_model_a_memoriser_and_little_noise_hides_none(sets, level):
    assert judged(noisy(lambda x: x, level), *sets)["memorised"] == pytest.approx(0, abs=0.2)
    assert judged(noisy(nearest(sets[1]), level), *sets)["memorised"] > 0.7 or level == 0.3


def test_a_model_that_makes_the_same_of_everything_treats_both_alike(sets):
    same = drum(99)
    found = judged(lambda x: np.resize(same, len(x)), *sets)
    assert found["held_out_share"] > 0.7
    assert found["memorised"] == pytest.approx(0, abs=0.2)


def test_training_hits_are_compared_with_other_files_but_for_a_lone_one(tmp_path):
    """Copies within a file would make honest mistakes look like copying; a lone file has no other."""
    loop = np.concatenate([0.3 * drum(0)] * 12 + [0.3 * drum(1)] * 2)  # 5.6 s, cut at its onsets
    copies, other = clip(tmp_path, "loop", loop), clip(tmp_path, "bell", 0.3 * bell(0))
    unheard = clip(tmp_path, "unheard", 0.3 * drum(5))
    play = noisy(lambda x: x, 0.3)
    assert judged(play, [unheard], [copies, other])["training_share"] == 0
    half = Clip(copies.source, copies.samples, 0, len(copies) // 2)
    answers = ([played(c, play(c.read()), RATE)] for c in (unheard, half))
    lone = memorisation(*answers, known([copies], RATE))
    assert lone["training_hits"] >= 12
    assert lone["training_share"] == 0 > lone["training_octaves"]
    whole = played(copies, copies.read(), RATE)
    assert len(whole.hits) == len(whole.made) == len(whole.points) == lone["training_hits"]
    assert whole.made == pytest.approx(whole.points)


def test_a_training_hit_without_others_is_no_baseline(tmp_path):
    lone, unheard = clip(tmp_path, "lone", 0.3 * drum(0)), clip(tmp_path, "unheard", 0.3 * drum(5))
    found = judged(noisy(lambda x: x, 0.3), [unheard], [lone])
    assert found["training_hits"] == 1
    assert 0 <= found["held_out_share"] <= 1
    assert not found.keys() & {"memorised", "training_share", "training_octaves"}


def test_hits_are_cut_from_what_is_made_as_from_the_clip(tmp_path):
    """Of a clip that starts within its recording."""
    recording = clip(tmp_path, "all", np.concatenate([0.3 * make(n) for n in range(6) for make in (drum, bell)]))
    part = Clip(recording.source, recording.samples, 30000, len(recording))
    found = played(part, part.read(), RATE)
    assert len(found.hits) > 8
    assert Path(found.hits[0].source).name == "all"
    assert found.made == pytest.approx(found.points)
