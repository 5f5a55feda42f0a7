"""Transforms that audiomentations lacks, or has only with further packages."""

from collections.abc import Sequence

import numpy as np
import soxr
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import oaconvolve, sosfilt

from rave_lite.data.windows import fade
from rave_lite.errors import InputError


def interval(name: str, bounds: Sequence[float], least: float, most: float) -> tuple[float, float]:
    """`bounds` as (low, high). Raises InputError unless they are a range within `least` to `most`."""
    try:
        low, high = bounds
        fits = least <= low <= high <= most
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(f"{bounds} is no range within {least:g} to {most:g}: say [lowest, highest]", where=name)
    return low, high


class AllPass:
    """Changes phases and keeps magnitudes: the waveform differs, the sound hardly does.

    A cascade of second-order all-pass filters, `stages` (fewest, most), each a pair of poles at a frequency drawn
    logarithmically from `frequency`, Hz, and at a distance from the origin drawn from `radius`. With radius r each stage
    delays no frequency by more than 2 (1 + r) / (1 - r) samples (Oppenheim and Schafer,
    Discrete-Time Signal Processing, 5.5).
    """

    def __init__(self, p: float, stages: Sequence[int] = (1, 2), frequency: Sequence[float] = (20.0, 2000.0),
                 radius: Sequence[float] = (0.5, 0.99)):
        self.p = p
        self.stages = interval("stages", stages, 1, 100)
        self.frequency = interval("frequency", frequency, 1.0, 1e6)
        self.radius = interval("radius", radius, 0.0, 0.999)

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        count = int(rng.integers(int(self.stages[0]), int(self.stages[1]), endpoint=True))
        low, high = map(float, np.log(self.frequency))
        angle = 2 * np.pi * np.exp(rng.uniform(low, high, count)) / sample_rate
        r = rng.uniform(*self.radius, count)
        poles = np.stack([np.ones(count), -2 * r * np.cos(angle), r**2], 1)
        return sosfilt(np.concatenate([poles[:, ::-1], poles], 1), samples).astype(np.float32)


class Speed:
    """Plays faster and higher or slower and lower, by `semitones`, as a tape does: no smeared attack, no pre-echo.

    Keeps the window's length: a shorter result is padded with silence at its end, a longer one is cut.
    """

    def __init__(self, p: float, semitones: Sequence[float] = (-0.5, 0.5)):
        self.p, self.semitones = p, interval("semitones", semitones, -24.0, 24.0)

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        rate = 2 ** (rng.uniform(*self.semitones) / 12)
        length = samples.shape[-1]
        resampled = soxr.resample(samples.T, rate, 1.0)[:length].T
        return np.pad(resampled, [(0, 0)] * (samples.ndim - 1) + [(0, length - resampled.shape[-1])])


class Dequantise:
    """Adds uniform noise to the least bit of recordings of `bits`: half a step each way, a peak of -6.02 `bits` dBFS."""

    def __init__(self, p: float, bits: int = 16):
        if bits < 1:
            raise InputError(f"{bits}; say 16", where="bits")
        self.p, self.bits = p, bits

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return samples + (rng.random(samples.shape, np.float32) - np.float32(0.5)) * np.float32(2.0 ** (1 - self.bits))


class Swap:
    """Swaps left and right; one channel stays as it is."""

    def __init__(self, p: float):
        self.p = p

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return samples[::-1].copy() if samples.ndim == 2 else samples


class Mute:
    """Silences one span with faded edges; its length is drawn from `seconds`."""

    def __init__(self, p: float, seconds: Sequence[float] = (0.02, 0.2)):
        self.p, self.seconds = p, interval("seconds", seconds, 0.002, 1e6)

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        total = samples.shape[-1]
        length = min(round(rng.uniform(*self.seconds) * sample_rate), total)
        start = int(rng.integers(total - length, endpoint=True))
        output = samples.copy()
        output[..., start : start + length] *= 1 - fade(length)
        return output


class Compression:
    """Makes loud moments quieter against quiet ones and keeps the RMS of the window.

    Levels above `threshold_db` (relative to the window's peak) rise by 1 dB for each `ratio` dB. The level is the maximum
    within `seconds` around, averaged over as long, so that no attack passes uncompressed.
    Digital Audio Effects (Zölzer, 2011), 4.2.
    """

    def __init__(self, p: float, threshold_db: Sequence[float] = (-30.0, -10.0), ratio: Sequence[float] = (1.5, 4.0),
                 seconds: float = 0.005):
        self.p, self.seconds = p, seconds
        self.threshold_db = interval("threshold_db", threshold_db, -120.0, 0.0)
        self.ratio = interval("ratio", ratio, 1.0, 1000.0)

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        threshold = 10 ** (rng.uniform(*self.threshold_db) / 20) * np.abs(samples).max(initial=0)
        ratio = rng.uniform(*self.ratio)
        if threshold == 0:
            return samples
        size = 2 * round(self.seconds * sample_rate / 2) + 1
        level = uniform_filter1d(maximum_filter1d(np.abs(np.atleast_2d(samples)).max(0), size), size)
        output = samples * np.maximum(1, level / threshold) ** (1 / ratio - 1)
        return (output * np.sqrt(np.mean(np.square(samples)) / np.mean(np.square(output)))).astype(np.float32)


class Room:
    """Adds the tail of a room: noise that falls by 60 dB in `rt60`, s (Moorer, About this reverberation business, 1979).

    `level_db`: of the tail's energy against the direct sound's; `delay`: of its start, s. Each is drawn from a range.
    audiomentations' RoomSimulator needs pyroomacoustics, and its ApplyImpulseResponse recordings of rooms.
    """

    def __init__(self, p: float, rt60: Sequence[float] = (0.1, 0.6), level_db: Sequence[float] = (-30.0, -12.0),
                 delay: Sequence[float] = (0.001, 0.02)):
        self.p = p
        self.rt60 = interval("rt60", rt60, 0.01, 20.0)
        self.level_db = interval("level_db", level_db, -120.0, 40.0)
        self.delay = interval("delay", delay, 0.0, 1.0)

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        rt60, level = rng.uniform(*self.rt60), 10 ** (rng.uniform(*self.level_db) / 20)
        start = round(rng.uniform(*self.delay) * sample_rate)
        length = samples.shape[-1]
        time = np.arange(min(round(rt60 * sample_rate), max(1, length - start))) / sample_rate
        tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
        tail *= level / np.sqrt(np.sum(np.square(tail)))
        output = samples.copy()
        tails = oaconvolve(samples, tail.reshape((1,) * (samples.ndim - 1) + (-1,)), axes=-1)  # both channels' are alike
        output[..., start:] += tails[..., : max(0, length - start)].astype(np.float32)
        return output
