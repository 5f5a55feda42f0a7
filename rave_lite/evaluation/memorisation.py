"""Does a model answer a sound that it never heard with one that it was trained on?"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from rave_lite.data import Clip
from rave_lite.evaluation.embedding import embed
from rave_lite.evaluation.hits import LONGEST, hits

LONGER = 4.0  # s: clips up to that length are one hit, as in curation
SAME = 0.01  # nearer points count as that far apart; strokes of one drum are about 1 apart


class ReconstructedHits(NamedTuple):
    """The hits of a clip, and as points `(N, 39)` what they are and what a model makes of them."""

    hits: list[Clip]
    points: np.ndarray
    made: np.ndarray


class TrainingHits(NamedTuple):
    """The hits that a model was trained on, and as points `(N, 39)`."""

    hits: list[Clip]
    points: np.ndarray


def known(clips: list[Clip], sample_rate: int) -> TrainingHits:
    """The hits of all `clips`."""
    found = [hit for clip in clips for hit in hits(clip, sample_rate, LONGER)]
    return TrainingHits(found, points(found, sample_rate))


def played(clip: Clip, made: np.ndarray, sample_rate: int) -> ReconstructedHits:
    """`made`: the clip's reconstruction, `(T,)`."""
    found, most = hits(clip, sample_rate, LONGER), round(LONGEST * sample_rate)
    of_made = [made[hit.start - clip.start : hit.stop - clip.start][:most] for hit in found]
    return ReconstructedHits(found, points(found, sample_rate), np.array([embed(part, sample_rate) for part in of_made]))


def points(found: list[Clip], sample_rate: int) -> np.ndarray:
    """`(N, 39)`, of hits."""
    return np.array([embed(hit.read(0, round(LONGEST * sample_rate)), sample_rate) for hit in found])


def memorisation(held_out: list[ReconstructedHits], trained: list[ReconstructedHits],
                 training: TrainingHits) -> dict[str, float]:
    """How much nearer what is made of held-out hits lies to a hit of `training` than to its own reference.

    `held_out_share`: of the hits whose reconstruction is nearer to a training hit than to its reference; `held_out_octaves`:
    mean of log2(distance to the reference / to the nearest training hit), above 0 where that is so. Each clip counts alike.
    A poor reconstruction is near some hit by chance, so `training_share` and `training_octaves` say the same of the
    reconstructions of training hits, against the hits of other files. `memorised`, the difference of the shares, is about
    0 for a model that treats both alike, well or badly, and 1 for one that plays the nearest training hit; errors larger
    than the distances between training hits hide that: see `made_to_reference` beside `reference_to_training`. Where no
    training hit has others to be compared with there are no `training_` figures, and no `memorised`.
    `reference_to_training`, `made_to_training`, `made_to_reference`: mean distances, of held-out hits.
    """
    targets = training.points
    foreign = [cdist(one.made, targets) for one in held_out]
    share, octaves = _nearer(held_out, foreign)
    report = {"held_out_share": share, "held_out_octaves": octaves}
    others = [(one, found) for one in trained if (found := _others(one, training)).shape[1]]
    if others:
        usual, usual_octaves = _nearer([one for one, _ in others], [found for _, found in others])
        report |= {"memorised": share - usual, "training_share": usual, "training_octaves": usual_octaves}
    to_reference = [cdist(one.points, targets).min(1).mean() for one in held_out]
    return {**report, "reference_to_training": float(np.mean(to_reference)),
            "made_to_training": float(np.mean([d.min(1).mean() for d in foreign])),
            "made_to_reference": float(np.mean([_own(one).mean() for one in held_out])),
            "held_out_hits": sum(len(one.hits) for one in held_out), "training_hits": len(training.hits)}


def _own(one: ReconstructedHits) -> np.ndarray:
    return np.linalg.norm(one.made - one.points, axis=1)


def _others(one: ReconstructedHits, training: TrainingHits) -> np.ndarray:
    """Distances `(N, M)` of what is made of a training clip to the hits of other files; of a lone file to its other hits."""
    first, last = one.hits[0], one.hits[-1]
    other = np.array([hit.source != first.source for hit in training.hits])
    if not other.any():
        other = np.array([hit.stop <= first.start or last.stop <= hit.start for hit in training.hits])
    return cdist(one.made, training.points[other])


def _nearer(group: list[ReconstructedHits], distances: list[np.ndarray]) -> tuple[float, float]:
    """The share nearer to a training hit than to the reference, and the mean octaves."""
    shares, octaves = [], []
    for one, to_known in zip(group, distances, strict=True):
        own, near = np.maximum(_own(one), SAME), np.maximum(to_known.min(1), SAME)
        shares.append((near < own).mean())
        octaves.append(np.log2(own / near).mean())
    return float(np.mean(shares)), float(np.mean(octaves))
