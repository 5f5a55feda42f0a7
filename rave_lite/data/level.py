"""Levels that recordings should not have: a DC offset, samples far above full scale, clipped samples."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rave_lite.data import audio
from rave_lite.data.audio import UnreadableError, decibels
from rave_lite.data.silence import LevelMeter

FULL_SCALE = 0.99  # clipped samples are at least this
RUN = 3  # equal samples in a row are clipped
LOUDEST = 7.94  # peak, +18 dBFS: louder samples were saved on another scale, such as that of 16-bit numbers
BITS = (15, 23, 31)  # without the sign, of the numbers that samples are saved as
LEAST_OFFSET = 0.01  # of the peak
BLOCK, BLOCKS = 5, 10  # frames: an offset is measured over 0.1 s, in recordings of at least 1 s
FEWEST = 4  # frames: shorter recordings tell no offset
STEADY, SHARE = 0.25, 0.75  # an offset stays within a quarter of itself three quarters of the time


def clipped(block: np.ndarray) -> int:
    """Clipped samples of `(frames, channels)`: at least three equal ones in a row at full scale."""
    loud = np.flatnonzero((np.abs(block) >= FULL_SCALE).any(1))
    if len(loud) < RUN:
        return 0
    part = block[loud[0] : loud[-1] + 1]
    same = (part[2:] == part[1:-1]) & (part[1:-1] == part[:-2]) & (np.abs(part[2:]) >= FULL_SCALE)
    in_run = np.zeros(part.shape, bool)
    for offset in range(RUN):
        in_run[offset : len(part) - RUN + 1 + offset] |= same
    return int(in_run.sum())


def scale_bits(peak: float) -> int | None:
    """The power of two that samples are to be divided by: 0 up to +18 dBFS; None if no scale makes sense of them.

    15, 23 or 31 where they look like whole numbers of 16, 24 or 32 bits; a peak below 128 is brought below full scale.
    """
    if peak <= LOUDEST:
        return 0
    if peak <= 128:
        return math.ceil(math.log2(peak))
    return next((bits for bits in BITS if peak <= 2**bits), None)


def offset(meter: LevelMeter) -> float:
    """The DC offset of a recording, or 0 where it is below 1 % of the peak, or not steady and at both ends.

    So a low tone has none, nor has an offset that an editor has faded out: subtracted, it would come back at the end.
    """
    means = meter.means()
    if len(means) >= BLOCK * BLOCKS:
        means = means[: len(means) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(1)
    if len(means) < FEWEST:
        return 0.0
    middle = float(np.median(means))
    is_near = np.abs(means - middle) <= STEADY * abs(middle)
    is_offset = abs(middle) >= LEAST_OFFSET * meter.peak and is_near.mean() >= SHARE and is_near[0] and is_near[-1]
    return middle if is_offset else 0.0


@dataclass(frozen=True)
class Correction:
    """What makes the levels of a recording right: `offset` is subtracted, and then samples are divided by 2^`bits`."""

    offset: float
    bits: int

    def __bool__(self) -> bool:
        return bool(self.offset or self.bits)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        return np.ldexp(samples - np.float32(self.offset), -self.bits).astype(np.float32)

    def notes(self, peak: float) -> list[str]:
        """What was done, for people. `peak`: before."""
        offset = [f"DC offset of {math.ldexp(self.offset, -self.bits):+.3f} removed"] if self.offset else []
        return offset + ([f"peak of {decibels(peak):+.0f} dBFS, divided by 2^{self.bits}"] if self.bits else [])


def correction(meter: LevelMeter) -> Correction:
    """What the levels of a recording need, mostly nothing. Raises UnreadableError if they cannot be those of a sound."""
    bits = scale_bits(meter.peak)
    if bits is None:
        raise UnreadableError(f"samples of up to {meter.peak:.0e}, where 1 is full scale; save it on that scale")
    return Correction(offset(meter), bits)


def load(path: Path, sample_rate: int) -> tuple[np.ndarray, list[str]]:
    """Reads a whole file, `(channels, samples)` float32 at `sample_rate` Hz, with right levels; and notes for people.

    Raises UnreadableError.
    """
    with audio.opened(path, str(path)) as file:
        signal = np.concatenate(list(audio.decode(file, sample_rate, str(path)))).T
    meters = [LevelMeter(sample_rate) for _ in signal]
    for meter, channel in zip(meters, signal, strict=True):
        meter.add(channel)
    loudest = max(meters, key=lambda meter: meter.peak)
    try:
        corrections = [Correction(offset(meter), correction(loudest).bits) for meter in meters]
    except UnreadableError as error:
        raise UnreadableError(error.what, where=path) from error
    notes = list(dict.fromkeys(note for c in corrections for note in c.notes(loudest.peak)))
    if any(corrections):
        signal = np.stack([c(channel) for c, channel in zip(corrections, signal, strict=True)])
    return signal, [*file.notes, *notes]
