"""Loudness of sounds, and the gains that make them equally loud."""

import numpy as np
import torch
import torchaudio.functional as F

from rave_lite.data import audio

BLOCK, STEP = 0.4, 0.1  # s: gating block and its step in BS.1770-4
CEILING = 10 ** (-1 / 20)  # highest peak: -1 dBFS, so that a player that resamples does not clip
MAX_GAIN_DB = 30.0  # largest gain, up or down, so that a nearly silent output is not amplified to noise


def integrated(sound: np.ndarray, sample_rate: int) -> float | None:
    """Loudness of a sound `(T,)` or `(2, T)`, LKFS, by ITU-R BS.1770-4; None if inaudible (a peak below -80 dBFS, or DC).

    The end is padded to whole steps of 100 ms, and to at least one block of 400 ms, so that sounds of the same length are
    comparable. The absolute gate has no effect, only the relative one: quiet recordings have a loudness, too.
    """
    peak = audio.peak(sound)
    if peak < audio.SILENCE:
        return None
    block, step = round(BLOCK * sample_rate), round(STEP * sample_rate)
    length = block + -(-max(0, sound.shape[-1] - block) // step) * step
    rows = np.atleast_2d(sound / (4 * peak))
    quarter = torch.from_numpy(np.pad(rows, ((0, 0), (0, length - rows.shape[1]))))  # torchaudio's filters clip at 1
    level = float(F.loudness(quarter.double(), sample_rate))
    return level + audio.decibels(4 * peak) if np.isfinite(level) else None


def matched(sounds: list[np.ndarray], sample_rate: int) -> list[float]:
    """Gains that make each sound as loud as the first, lowered together if one would clip; silence keeps its level."""
    first, *others = (integrated(sound, sample_rate) for sound in sounds)
    gains_db = [0.0, *(0.0 if first is None or other is None else first - other for other in others)]
    return unclipped(sounds, [float(10 ** (np.clip(db, -MAX_GAIN_DB, MAX_GAIN_DB) / 20)) for db in gains_db])


def unclipped(sounds: list[np.ndarray], gains: list[float]) -> list[float]:
    """The gains, all scaled by the same factor if the highest peak would exceed -1 dBFS."""
    highest = max(gain * audio.peak(sound) for sound, gain in zip(sounds, gains, strict=True))
    return [gain * min(1.0, CEILING / max(highest, 1e-9)) for gain in gains]
