"""Where the hits of a recording are."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from rave_lite.data import Clip
from rave_lite.evaluation.metrics import onsets

PIECE = 60.0  # s looked at together: memory does not grow with the recording
SHORTEST, LONGEST = 0.06, 10.0  # s of a hit
AHEAD = 0.005  # s from a hit's beginning to its attack
SILENCE_PEAK = 1e-3  # peak: -60 dBFS


def hits(clip: Clip, sample_rate: int, longer: float) -> list[Clip]:
    """The hits of a clip, end to end, cut at whole milliseconds; a clip of `longer` s at most is one hit.

    Silence belongs to the hit before it. Where nothing strikes, a cut is made every 10 s at most.
    """
    if len(clip) <= longer * sample_rate:
        return [clip]
    edges = np.array([0, *_attacks(clip, sample_rate), len(clip)])
    parts = np.maximum(1, np.ceil(np.diff(edges) / (LONGEST * sample_rate))).astype(int)
    fine = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(edges, edges[1:], parts, strict=False)]
    cuts = np.concatenate([*fine, edges[-1:]])
    cuts[1:-1] = np.round(np.round((clip.start + cuts[1:-1]) / sample_rate, 3) * sample_rate) - clip.start
    found: list[Clip] = []
    for first, last in pairwise(cuts.astype(int).tolist()):
        if found and np.abs(clip.read(first, last)).max(initial=0) < SILENCE_PEAK:
            found[-1] = replace(found[-1], stop=clip.start + last)
        else:
            found.append(replace(clip, start=clip.start + first, stop=clip.start + last))
    return found


def _attacks(clip: Clip, sample_rate: int) -> list[int]:
    """The samples at which hits begin, none within the shortest hit's length of another or of an end."""
    found, at, gap = [0], 0, round(SHORTEST * sample_rate)
    while at < len(clip) - gap:
        piece = clip.read(at, at + round(PIECE * sample_rate))
        before = len(found)
        for onset in onsets(piece, sample_rate):
            start = at + _beginning(piece, round(onset * sample_rate), sample_rate)
            if found[-1] + gap <= start <= len(clip) - gap:
                found.append(start)
        end = at + len(piece)
        at = found[-1] if len(found) > before and end < len(clip) else end
    return found[1:]


def _beginning(piece: np.ndarray, onset: int, sample_rate: int) -> int:
    """Just before the steepest rise within 30 ms of an onset, which is known to 12 ms: an attack is never cut."""
    frame = sample_rate // 500
    first = max(0, onset - 15 * frame) // frame * frame
    near = piece[first : onset + 15 * frame]
    level = np.abs(near[: len(near) // frame * frame]).reshape(-1, frame).max(1, initial=1e-6)
    if len(level) < 2:
        return onset
    rise = int(np.diff(np.log(level + 0.02 * level.max())).argmax()) + 1
    return max(0, first + rise * frame - round(AHEAD * sample_rate))
