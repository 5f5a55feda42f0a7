"""Sounds heard at equal level: how loud each is, and by how much to turn it up or down."""

import numpy as np
import torch
import torchaudio.functional as F

from rave_lite.data.audio import SILENCE

BLOCK, STEP = 0.4, 0.1  # s, of the standard
CEILING = 10 ** (-1 / 20)  # of peaks: -1 dBFS, so that no player's resampling clips
MAX_GAIN_DB = 30.0  # dB that a sound is turned up or down: a failed one is not blown up to noise


def integrated(sound: np.ndarray, sample_rate: int) -> float | None:
    """Loudness of a mono sound `(T,)`, LKFS, by ITU-R BS.1770-4; None of what cannot be heard (a peak below -80 dBFS, DC).

    Its end is padded to whole steps of 100 ms, and a shorter sound to one block of 400 ms: sounds of one length compare.
    Only the gate relative to the sound counts: quiet recordings have a loudness, too.
    """
    peak = float(np.abs(sound).max(initial=0))
    if peak < SILENCE:
        return None
    block, step = round(BLOCK * sample_rate), round(STEP * sample_rate)
    length = block + -(-max(0, len(sound) - block) // step) * step
    quarter = torch.from_numpy(np.pad(sound / (4 * peak), (0, length - len(sound))))  # torchaudio's filters clip at 1
    level = float(F.loudness(quarter[None].double(), sample_rate))
    return level + 20 * float(np.log10(4 * peak)) if np.isfinite(level) else None


def matched(sounds: list[np.ndarray], sample_rate: int) -> list[float]:
    """The factors that make each as loud as the first, turned down together where one would clip; silence is left alone."""
    first, *others = (integrated(sound, sample_rate) for sound in sounds)
    steps = [0.0, *(0.0 if first is None or other is None else first - other for other in others)]
    return unclipped(sounds, [float(10 ** (np.clip(step, -MAX_GAIN_DB, MAX_GAIN_DB) / 20)) for step in steps])


def unclipped(sounds: list[np.ndarray], gains: list[float]) -> list[float]:
    """The gains, all times the factor that keeps the highest peak at -1 dBFS, where it would be above."""
    highest = max(gain * float(np.abs(sound).max(initial=0)) for sound, gain in zip(sounds, gains, strict=True))
    return [gain * min(1.0, CEILING / max(highest, 1e-9)) for gain in gains]
