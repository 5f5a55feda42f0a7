"""Hits: cuts a recording at its onsets, and embeds the parts."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from rave_lite.data import Clip, audio
from rave_lite.evaluation.embedding import embed
from rave_lite.evaluation.metrics import onsets, rise

PIECE = 60.0  # s analysed at a time, so that memory does not grow with the recording
SHORTEST, LONGEST = 0.06, 10.0  # s of a hit
ONE_HIT = 4.0  # s: shorter clips are one hit
AHEAD = 0.005  # s from the cut to the attack
SILENCE_PEAK = 1e-3  # peak: -60 dBFS


def hits(clip: Clip, sample_rate: int, longer: float = ONE_HIT) -> list[Clip]:
    """The hits of a clip, end to end, cut at whole milliseconds; a clip of at most `longer` s is one hit.

    Silence belongs to the hit before it, at the start to the first one. Long silences are cut out beforehand, as by
    `without_silence`: so hits end where they have died away. Stretches without onsets are cut into equal parts of at most
    10 s.
    """
    if len(clip) <= longer * sample_rate:
        return [clip]
    edges = np.array([0, *_attacks(clip, sample_rate), len(clip)])
    parts = np.maximum(1, np.ceil(np.diff(edges) / (LONGEST * sample_rate))).astype(int)
    fine = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(edges, edges[1:], parts, strict=False)]
    cuts = np.concatenate([*fine, edges[-1:]])
    cuts[1:-1] = np.round(np.round((clip.start + cuts[1:-1]) / sample_rate, 3) * sample_rate) - clip.start
    hit_clips: list[Clip] = []
    for first, last in pairwise(cuts.astype(int).tolist()):
        if hit_clips and audio.peak(clip.read(first, last)) < SILENCE_PEAK:
            hit_clips[-1] = replace(hit_clips[-1], stop=clip.start + last)
        else:
            hit_clips.append(replace(clip, start=clip.start + first, stop=clip.start + last))
    if len(hit_clips) > 1 and audio.peak(hit_clips[0].read()) < SILENCE_PEAK:
        hit_clips[:2] = [replace(hit_clips[1], start=clip.start)]
    return hit_clips


def embeddings(hit_clips: list[Clip], sample_rate: int) -> np.ndarray:
    """Embeddings `(N, 39)` of the first 10 s of hits."""
    return np.array([embed(hit.read(0, round(LONGEST * sample_rate)), sample_rate) for hit in hit_clips])


def _attacks(clip: Clip, sample_rate: int) -> list[int]:
    """Samples at which hits begin, each at least the shortest hit's length from the next and from both ends."""
    starts, at, gap = [0], 0, round(SHORTEST * sample_rate)
    while at < len(clip) - gap:
        piece = clip.read(at, at + round(PIECE * sample_rate))
        before = len(starts)
        for onset in onsets(piece, sample_rate):
            attack = rise(piece, round(onset * sample_rate), sample_rate)
            start = at + max(0, attack - round(AHEAD * sample_rate))
            if starts[-1] + gap <= start <= len(clip) - gap:
                starts.append(start)
        end = at + len(piece)
        at = starts[-1] if len(starts) > before and end < len(clip) else end
    return starts[1:]
