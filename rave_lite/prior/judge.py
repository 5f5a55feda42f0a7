"""Figures of what a prior plays, beside its recordings: rhythm, levels, timbre, and what it knows by heart."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from scipy.spatial.distance import cdist

from rave_lite.evaluation.embedding import embed
from rave_lite.prior.sequences import strokes

LONGEST = 2.0  # s of a stroke that are compared
MOST = 500  # strokes of the training set
INTERVALS = np.arange(0.0, 1.05, 0.1)  # s: bins; longer ones are in the last
LEVELS = np.arange(-60.0, 6.0, 6.0)  # dBFS: bins


def embedded_strokes(sounds: Iterable[np.ndarray], sample_rate: int, most: int = MOST) -> np.ndarray:
    """Embeddings `(N, 39)` of the strokes of sounds, each cut before the next; of more than `most` every so many."""
    parts = [sound[begin:end][: round(LONGEST * sample_rate)] for sound in sounds
             for begin, end in pairwise([*(at for at, _ in strokes(sound, sample_rate)), len(sound)])]
    chosen = np.linspace(0, len(parts) - 1, min(most, len(parts))).astype(int)
    return np.array([embed(parts[i], sample_rate) for i in chosen])


def memorised(generated: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> float:
    """How much nearer generated strokes are to those of the training set than held-out strokes are: 0 alike, 1 all of them.

    Twice the share of generated strokes that are nearer to a training stroke than the median held-out stroke is, minus 1;
    of embeddings `(N, 39)`. The held-out ones should be the model's reconstructions, blurred as what it generates.
    """
    if not len(generated):
        return 0.0
    distance = np.median(cdist(held_out, training).min(1))
    return float(2 * (cdist(generated, training).min(1) < distance).mean() - 1)


def rhythm(sounds: Iterable[np.ndarray], sample_rate: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Strokes per second, and the shares of the intervals between strokes and of their levels in each bin."""
    times, levels, seconds = list[float](), list[float](), 0.0
    for sound in sounds:
        detected = strokes(sound, sample_rate)
        times += np.diff([at / sample_rate for at, _ in detected]).tolist()
        levels += [level for _, level in detected]
        seconds += len(sound) / sample_rate
    intervals, _ = np.histogram(np.minimum(times, INTERVALS[-1]), INTERVALS)
    loudness, _ = np.histogram(np.clip(levels, LEVELS[0], LEVELS[-1]), LEVELS)
    return len(levels) / max(seconds, 1e-9), intervals / max(1, intervals.sum()), loudness / max(1, loudness.sum())


def moved_share(a: np.ndarray, b: np.ndarray) -> float:
    """The share of one histogram that must move to make the other (total variation): 0 to 1."""
    return float(0.5 * np.abs(a - b).sum())
