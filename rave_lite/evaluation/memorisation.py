"""Memorisation: does a model answer held-out sounds with sounds from its training set?"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from rave_lite.data import Clip
from rave_lite.evaluation.embedding import embed
from rave_lite.evaluation.hits import LONGEST, embeddings, hits

MIN_DISTANCE = 0.01  # smaller distances count as this; strokes of one drum are about 1 apart


class ReconstructedHits(NamedTuple):
    """The hits of a clip, with the embeddings `(N, 39)` of the originals and of a model's reconstructions."""

    hits: list[Clip]
    originals: np.ndarray
    reconstructions: np.ndarray


class TrainingHits(NamedTuple):
    """The hits that a model was trained on, with their embeddings `(N, 39)`."""

    hits: list[Clip]
    points: np.ndarray


def known(clips: list[Clip], sample_rate: int) -> TrainingHits:
    """The hits of the training clips."""
    hit_clips = [hit for clip in clips for hit in hits(clip, sample_rate)]
    return TrainingHits(hit_clips, embeddings(hit_clips, sample_rate))


def played(clip: Clip, reconstruction: np.ndarray, sample_rate: int) -> ReconstructedHits:
    """The hits of a clip and of its `reconstruction` `(T,)`, which is cut at the same samples."""
    hit_clips, longest = hits(clip, sample_rate), round(LONGEST * sample_rate)
    parts = [reconstruction[hit.start - clip.start : hit.stop - clip.start][:longest] for hit in hit_clips]
    reconstructions = np.array([embed(part, sample_rate) for part in parts])
    return ReconstructedHits(hit_clips, embeddings(hit_clips, sample_rate), reconstructions)


def memorisation(held_out: list[ReconstructedHits], trained: list[ReconstructedHits],
                 training: TrainingHits) -> dict[str, float]:
    """How much nearer the reconstructions of held-out hits are to a hit of `training` than to their own references.

    `held_out_share`: share of the hits whose reconstruction is nearer to a training hit than to its reference;
    `held_out_octaves`: mean of log2(distance to the reference / distance to the nearest training hit), so above 0 if the
    training hit is nearer. All clips weigh the same. A poor reconstruction is near some hit by chance, so `training_share`
    and `training_octaves` are the same figures for the reconstructions of training hits, compared with the hits of other
    files. `memorised`, held-out share minus training share, is about 0 for a model that treats both the same, well or badly,
    and 1 for one that plays the nearest training hit. Errors larger than the distances between training hits hide
    memorisation: compare `output_to_reference` with `reference_to_training`. If no training hit has others to be compared
    with, `memorised` and the `training_` figures are left out. `reference_to_training`, `output_to_training`,
    `output_to_reference`: mean distances over the held-out hits; the output is the reconstruction.
    """
    targets = training.points
    to_training = [cdist(clip.reconstructions, targets) for clip in held_out]
    share, octaves = _nearer(held_out, to_training)
    report = {"held_out_share": share, "held_out_octaves": octaves}
    comparable = [(clip, distances) for clip in trained if (distances := _to_other_files(clip, training)).shape[1]]
    if comparable:
        training_share, training_octaves = _nearer([clip for clip, _ in comparable],
                                                   [distances for _, distances in comparable])
        report |= {"memorised": share - training_share, "training_share": training_share,
                   "training_octaves": training_octaves}
    of_references = [cdist(clip.originals, targets).min(1).mean() for clip in held_out]
    return {**report, "reference_to_training": float(np.mean(of_references)),
            "output_to_training": float(np.mean([distances.min(1).mean() for distances in to_training])),
            "output_to_reference": float(np.mean([_to_reference(clip).mean() for clip in held_out])),
            "held_out_hits": sum(len(clip.hits) for clip in held_out), "training_hits": len(training.hits)}


def _to_reference(clip: ReconstructedHits) -> np.ndarray:
    """Distances `(N,)` of the reconstructed hits to their originals."""
    return np.linalg.norm(clip.reconstructions - clip.originals, axis=1)


def _to_other_files(clip: ReconstructedHits, training: TrainingHits) -> np.ndarray:
    """Distances `(N, M)` of a training clip's reconstructed hits to the hits of other files.

    If there are no other files, to those of this file outside the clip.
    """
    first, last = clip.hits[0], clip.hits[-1]
    other = np.array([hit.source != first.source for hit in training.hits])
    if not other.any():
        other = np.array([hit.stop <= first.start or last.stop <= hit.start for hit in training.hits])
    return cdist(clip.reconstructions, training.points[other])


def _nearer(clips: list[ReconstructedHits], to_training: list[np.ndarray]) -> tuple[float, float]:
    """Share of hits nearer to a training hit than to the reference, and mean octaves. `to_training`: distances `(N, M)`."""
    shares, octaves = [], []
    for clip, distances in zip(clips, to_training, strict=True):
        reference, nearest = np.maximum(_to_reference(clip), MIN_DISTANCE), np.maximum(distances.min(1), MIN_DISTANCE)
        shares.append((nearest < reference).mean())
        octaves.append(np.log2(reference / nearest).mean())
    return float(np.mean(shares)), float(np.mean(octaves))
