"""What a prior learns from: the latents of recordings over time, and when strokes begin in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rave_lite.data import Clip, audio
from rave_lite.evaluation.metrics import onsets, rise
from rave_lite.layers import reset, stream
from rave_lite.model import RAVE

PIECE = 60.0  # s searched for strokes at a time
GAP = 0.06  # s: strokes are further apart
PEAK = 0.05  # s after its attack in which a stroke is loudest
LEAST_PEAK = 1e-3  # -60 dBFS: quieter ones are no strokes
TAIL = 0.25  # s of silence after a recording, in which its sound dies away
BLOCK = 1 << 19  # samples encoded at a time


@dataclass(frozen=True)
class Sequence:
    """A recording: principal directions `(T, size)`, and of the stroke that begins in each frame its level.

    `levels`: `(T,)`, the peak, dBFS, NaN where none begins. `counted`: frames before the silence at the end.
    """

    name: str
    latents: Tensor
    levels: Tensor
    counted: int

    @property
    def strokes(self) -> int:
        return int((~self.levels.isnan()).sum())


@torch.no_grad()
def sequences(model: RAVE, clips: Iterable[Clip]) -> list[Sequence]:
    """The clips, one sequence each, from the first sample on, with a quarter of a second of silence after the last."""
    live, rows = stream(model), []
    for clip in clips:
        reset(live)
        rows.append(sequence(model, live, clip.sound(), clip.source))
    return rows


def sequence(model: RAVE, live: RAVE, sound: np.ndarray, name: str = "") -> Sequence:
    """A sound `(T,)`, or `(2, T)`, encoded by `live`, which is the model's streaming form, after a reset."""
    hop, delay = model.hop, max(0, model.encoder.delay)
    counted, tail = -(-sound.shape[-1] // hop), -(-round(TAIL * model.sample_rate) // hop)
    rows = np.atleast_2d(sound).astype(np.float32)
    padded = np.pad(rows, ((0, 0), (0, (counted + tail + delay) * hop - rows.shape[1])))
    blocks = torch.from_numpy(padded)[None].split(BLOCK // hop * hop, -1)
    latents = torch.cat([model.principal(live.encode(block)) for block in blocks], 2)[0, :, delay:].T.contiguous()
    levels = torch.full((len(latents),), torch.nan)
    for at, level in strokes(audio.mix(sound), model.sample_rate):
        levels[at // hop] = torch.fmax(levels[at // hop], torch.tensor(level))
    return Sequence(name, latents, levels, counted)


def strokes(sound: np.ndarray, sample_rate: int) -> list[tuple[int, float]]:
    """The samples at which strokes begin in a sound `(T,)`, and their levels, dBFS."""
    piece, gap, begins = round(PIECE * sample_rate), round(GAP * sample_rate), list[int]()
    for start in range(0, len(sound), piece):
        part = sound[start : start + piece]
        begins += [start + rise(part, round(float(onset) * sample_rate), sample_rate) for onset in onsets(part, sample_rate)]
    detected: list[tuple[int, float]] = []
    for begin, after in pairwise([*sorted(set(begins)), len(sound)]):
        peak = audio.peak(sound[begin : min(after + gap, begin + round(PEAK * sample_rate))])
        if peak >= LEAST_PEAK and (not detected or begin - detected[-1][0] >= gap):
            detected.append((begin, audio.decibels(peak)))
    return detected
