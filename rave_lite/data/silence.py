"""Detects long silent stretches of recordings, in one streaming pass."""

import numpy as np

from rave_lite.data import audio

FRAME = 0.02  # s
BLOCK = 12  # frames over which the noise floor is measured: 0.24 s average out the fluctuations of rumble
BELOW_PEAK = 1e-3  # RMS relative to the peak sample: -60 dB is silent in any recording
STEADY = 1e-2  # RMS relative to the peak sample, -40 dB: a noise floor is not louder
SPREAD = 4.0  # power ratio, 6 dB: a noise floor stays within it a quarter of the time
HIT = 10.0  # power ratio: what stays less than 10 dB above the floor is a fluctuation of it
LEVEL = 1.5  # power ratio, 1.8 dB, of the eighths of a stretch: one that changes more is a slow decay or swell
ENERGY = 0.05  # share of the recording's energy: silence holds no more
BEFORE, AFTER = 0.06, 0.1  # s kept before an attack and after a decay
SHORTEST = 0.5  # s: shorter silence stays
AUDIBLE_POWER = 1e-6  # power, -60 dBFS: louder is sound, even if the rest of the recording was not read


class LevelMeter:
    """Measures mean and mean square of each 20 ms frame of a recording, added block by block; finds its silent stretches."""

    def __init__(self, sample_rate: int):
        self.frame, self.samples, self.peak = round(FRAME * sample_rate), 0, 0.0
        self._remainder = np.zeros(0, np.float32)
        self._powers: list[np.ndarray] = []
        self._means: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Adds the next samples, `(T,)`."""
        self.samples, self.peak = self.samples + len(block), max(self.peak, audio.peak(block))
        block = np.concatenate([self._remainder, block])
        whole = len(block) // self.frame * self.frame
        frames = block[:whole].reshape(-1, self.frame)
        self._powers.append(_powers(frames))
        self._means.append(frames.mean(1, dtype=np.float64))
        self._remainder = block[whole:].copy()

    def powers(self) -> np.ndarray:
        """Mean square of each frame; the last may be shorter."""
        return np.concatenate([*self._powers, _powers(self._remainder[None])] if len(self._remainder) else self._powers)

    def means(self) -> np.ndarray:
        """Mean of each whole frame."""
        return np.concatenate(self._means)

    def silent(self) -> list[list[int]]:
        """Start and stop, in samples, of each silent stretch of at least half a second, without margins around sound.

        A frame is silent 60 dB below the recording's peak or, if a steady noise floor lies 40 dB below the peak, within
        3 dB of that floor. If such stretches held more than 5 % of the recording's energy, none is returned: then the
        quiet is the sound, as in a drone with a bump.
        """
        if not self.peak:
            return []
        powers = self.powers()
        floor, stretches = _floor(powers, self.peak), []
        silent_power = (BELOW_PEAK * self.peak) ** 2
        loud = powers > max(silent_power, 2 * floor)
        for start, stop in _runs(loud):
            loud[start:stop] = powers[start:stop].max() > HIT * floor
        before, after = round(BEFORE / FRAME), round(AFTER / FRAME)
        energy = 0.0
        for start, stop in _runs(~loud):
            noise = powers[start:stop] > 0  # of digital silence one frame before an attack is enough
            first = start + min(after, _leading(noise)) if start > 0 else 0
            last = stop - min(before, max(1, _leading(noise[::-1]))) if stop < len(powers) else stop
            if (last - first) * FRAME >= SHORTEST and _dead(powers[first:last], silent_power):
                stretches.append([first * self.frame, min(last * self.frame, self.samples)])
                energy += float(powers[first:last].sum())
        return stretches if energy <= ENERGY * powers.sum() else []


def _powers(frames: np.ndarray) -> np.ndarray:
    return np.square(frames, dtype=np.float64).mean(1)


def _floor(powers: np.ndarray, peak: float) -> float:
    """The power of a steady noise floor, or 0 where there is none."""
    if len(powers) < BLOCK:
        return 0.0
    blocks = powers[: len(powers) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(1)
    low, quarter = np.quantile(blocks, [0.05, 0.25])
    return float(low) if low < (STEADY * peak) ** 2 and quarter <= SPREAD * low else 0.0


def _dead(powers: np.ndarray, silent_power: float) -> bool:
    """Whether a quiet stretch is below `silent_power`, or steady, so no part of a slow decay or swell."""
    parts = [np.median(part) for part in np.array_split(powers, 8)]
    return bool(powers.mean() <= silent_power or max(parts) <= LEVEL * min(parts))


def _runs(mask: np.ndarray) -> list[list[int]]:
    """Start and stop of each run of True."""
    return np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]))).reshape(-1, 2).tolist()


def _leading(mask: np.ndarray) -> int:
    """The number of True before the first False."""
    return len(mask) if mask.all() else int(mask.argmin())


def sounding(silent: list[list[int]], start: int, stop: int) -> list[tuple[int, int]]:
    """The parts of `start` to `stop` outside the silent stretches, which ascend."""
    edges = [start, *(min(max(edge, start), stop) for stretch in silent for edge in stretch), stop]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
