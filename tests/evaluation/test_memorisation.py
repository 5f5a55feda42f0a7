"""Memorisation: about 0 for models that reconstruct their input, well or badly; 1 for models that play training hits."""

from pathlib import Path

import numpy as np
import pytest

from rave_lite.data import Clip
from rave_lite.evaluation.hits import embeddings
from rave_lite.evaluation.memorisation import known, memorisation, played
from tests.sounds import RATE, bell, clip_file, drum


@pytest.fixture
def sets(tmp_path) -> tuple[list[Clip], list[Clip]]:
    """Strokes as different as those of a drum kit: 16 held out, 24 to train on."""
    clips = [clip_file(tmp_path, f"stroke{n}", stroke(n)) for n in range(40)]
    return clips[:16], clips[16:]


def stroke(seed: int) -> np.ndarray:
    """A random mixture of partials and noise, decaying at a random rate."""
    rng = np.random.default_rng(seed)
    t = np.arange(RATE // 2) / RATE
    partials = sum(rng.uniform(0, 1) * np.sin(2 * np.pi * rng.uniform(100, 6000) * t) for _ in range(3))
    noise = rng.standard_normal(len(t)) * 10 ** rng.uniform(-3, 0) * np.exp(-t * rng.uniform(0, 100))
    return 0.1 * (partials + noise) * np.exp(-t * rng.uniform(5, 50))


def judged(play, held_out: list[Clip], train: list[Clip]) -> dict[str, float]:
    reconstructed = ([played(c, play(c.read()), RATE) for c in clips] for clips in (held_out, train))
    return memorisation(*reconstructed, known(train, RATE))


def nearest(train: list[Clip]):
    """A model that plays the training hit that sounds most like its input."""
    targets = embeddings(train, RATE)

    def play(x: np.ndarray) -> np.ndarray:
        hit = train[int(np.linalg.norm(targets - embeddings([as_clip(x)], RATE), axis=1).argmin())].read()
        return np.pad(hit, (0, max(0, len(x) - len(hit))))[: len(x)]

    return play


def as_clip(x: np.ndarray) -> Clip:
    class Samples:
        def read(self, start: int, stop: int) -> np.ndarray:
            return x[start:stop]

    return Clip("x", Samples(), 0, len(x))


def noisy(play, level: float):
    """`play` with noise that follows the level of the sound, as that of poor models does."""
    rng = np.random.default_rng(0)
    return lambda x: play(x) * (1 + level * rng.standard_normal(len(x)))


def test_a_model_that_returns_its_input(sets):
    report = judged(lambda x: x, *sets)
    assert report["memorised"] == report["held_out_share"] == report["training_share"] == 0
    assert report["output_to_reference"] == 0
    assert report["output_to_training"] == pytest.approx(report["reference_to_training"])
    assert report["held_out_octaves"] < -3
    assert (report["held_out_hits"], report["training_hits"]) == (16, 24)


def test_a_model_that_returns_the_nearest_training_hit(sets):
    report = judged(nearest(sets[1]), *sets)
    assert report["memorised"] == 1
    assert report["output_to_training"] < 0.1 * report["reference_to_training"]
    assert report["held_out_octaves"] > 3
    assert report["training_octaves"] < -3


@pytest.mark.parametrize("level", [0.003, 0.03, 0.3])
def test_noise_makes_no_model_a_memoriser_and_little_noise_hides_none(sets, level):
    assert judged(noisy(lambda x: x, level), *sets)["memorised"] == pytest.approx(0, abs=0.2)
    assert judged(noisy(nearest(sets[1]), level), *sets)["memorised"] > 0.7 or level == 0.3


def test_a_model_that_makes_the_same_of_everything_treats_both_alike(sets):
    same = drum(99)
    report = judged(lambda x: np.resize(same, len(x)), *sets)
    assert report["held_out_share"] > 0.7
    assert report["memorised"] == pytest.approx(0, abs=0.2)


def test_training_hits_are_compared_with_other_files_but_for_a_lone_one(tmp_path):
    """Hits of the same file are excluded, since repeats within it would look like copying; a lone file has no others."""
    loop = np.concatenate([0.3 * drum(0)] * 12 + [0.3 * drum(1)] * 2)  # 5.6 s, cut at its onsets
    copies, other = clip_file(tmp_path, "loop", loop), clip_file(tmp_path, "bell", 0.3 * bell(0))
    unheard = clip_file(tmp_path, "unheard", 0.3 * drum(5))
    play = noisy(lambda x: x, 0.3)
    assert judged(play, [unheard], [copies, other])["training_share"] == 0
    half = Clip(copies.source, copies.samples, 0, len(copies) // 2)
    reconstructed = ([played(c, play(c.read()), RATE)] for c in (unheard, half))
    lone = memorisation(*reconstructed, known([copies], RATE))
    assert lone["training_hits"] >= 12
    assert lone["training_share"] == 0 > lone["training_octaves"]
    whole = played(copies, copies.read(), RATE)
    assert len(whole.hits) == len(whole.reconstructions) == len(whole.originals) == lone["training_hits"]
    assert whole.reconstructions == pytest.approx(whole.originals)


def test_a_training_hit_without_others_is_no_baseline(tmp_path):
    lone, unheard = clip_file(tmp_path, "lone", 0.3 * drum(0)), clip_file(tmp_path, "unheard", 0.3 * drum(5))
    report = judged(noisy(lambda x: x, 0.3), [unheard], [lone])
    assert report["training_hits"] == 1
    assert 0 <= report["held_out_share"] <= 1
    assert not report.keys() & {"memorised", "training_share", "training_octaves"}


def test_hits_are_cut_from_the_reconstruction_as_from_the_clip(tmp_path):
    """For a clip that starts within its recording."""
    recording = clip_file(tmp_path, "all", np.concatenate([0.3 * make(n) for n in range(6) for make in (drum, bell)]))
    part = Clip(recording.source, recording.samples, 30000, len(recording))
    result = played(part, part.read(), RATE)
    assert len(result.hits) > 8
    assert Path(result.hits[0].source).name == "all"
    assert result.reconstructions == pytest.approx(result.originals)
