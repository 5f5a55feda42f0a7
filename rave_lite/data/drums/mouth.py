"""Synthesis of what a musician does with the mouth: sung syllables and beat-boxing. All mono, float64.

Sources. A voice as harmonics through resonators in a row, each of gain 1 at 0 Hz, and plosives as bursts of noise through a
resonance of their place: Klatt, Software for a cascade/parallel formant synthesizer, JASA 67(3), 1980. Formants of vowels,
of men: Peterson and Barney, Control methods used in a study of the vowels, JASA 24(2), 1952, table II. Bandwidths, plosives
and rhythms are plausible values chosen by the authors, not measurements.
"""

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

VOWELS = {"a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (270, 2290, 3010), "o": (570, 840, 2410),
          "u": (300, 870, 2240)}  # Hz
BANDWIDTHS = (70, 100, 150)  # Hz
PLOSIVES = {"p": (700, 0.008), "t": (3800, 0.006), "k": (1900, 0.012)}  # Hz, and s to fall by a factor of e
HIGHEST = 8000.0  # Hz: of a voice's harmonics
BEATS = ("k.h.s.hkk.h.s.hh", "k.hks.h.kkh.s.hs", "k.k.s.h.k.hks.hh")  # sixteenths: k kick, s snare, h hi-hat


def voice(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Six to nine sung syllables, plosive and vowel, each of a pitch and a loudness of its own over 18 dB; peak 0.7."""
    parts, pitch = [], rng.uniform(110, 220)
    for _ in range(rng.integers(6, 10)):
        steps = rng.choice([-4, -2, 0, 2, 3, 5, 7])
        sound = _syllable(pitch * 2 ** (steps / 12), rng.uniform(0.14, 0.32), rng, sample_rate)
        parts += [sound * 10 ** (rng.uniform(-18, 0) / 20), np.zeros(round(sample_rate * rng.uniform(0.04, 0.15)))]
    return _at_level(np.concatenate(parts), 0.7)


def beatbox(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A bar of kicks, snares and hi-hats of the mouth, accents 12 dB apart at most; peak 0.7."""
    sixteenth = 60 / rng.uniform(80, 115) / 4
    beat = BEATS[rng.integers(len(BEATS))]
    bar = np.zeros(round(sample_rate * (sixteenth * len(beat) + 0.3)))
    for i, kind in enumerate(beat):
        if kind != ".":
            sound = _BEATS[kind](rng, sample_rate) * 10 ** (rng.uniform(-12, 0) / 20)
            at = round(sample_rate * max(0.0, i * sixteenth + 0.005 * rng.standard_normal()))
            bar[at : at + len(sound)] += sound
    return _at_level(bar, 0.7)


def _syllable(pitch: float, seconds: float, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A burst, and after a moment of breath a vowel whose pitch rises, falls and wavers."""
    onset, centre = _burst(*PLOSIVES[rng.choice([*PLOSIVES])], rng, sample_rate), round(0.02 * sample_rate)
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    frequency = pitch * (1 + 0.04 * rng.standard_normal() * t / seconds + 0.012 * np.sin(2 * np.pi * 5.5 * t))
    phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
    count = int(min(HIGHEST, 0.45 * sample_rate) / frequency.max())
    vowel = sum(np.sin(k * phase) / k for k in range(1, count + 1)) + 0.05 * rng.standard_normal(len(t))
    for formant, bandwidth in zip(VOWELS[rng.choice([*VOWELS])], BANDWIDTHS, strict=True):
        vowel = _resonator(vowel, formant, bandwidth, sample_rate)
    vowel *= np.minimum(1, t / 0.015) * np.minimum(1, (seconds - t) / 0.05) * np.exp(-t / (1.5 * seconds))
    sound = np.zeros(centre + len(vowel))
    sound[: len(onset)] += 0.5 * onset[: len(sound)]
    sound[centre:] += vowel / np.abs(vowel).max()
    return sound


def _burst(frequency: float, decay: float, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Noise around a frequency, gone in `decay` s; peak 1."""
    t = np.arange(round(6 * decay * sample_rate)) / sample_rate
    noise = _resonator(rng.standard_normal(len(t)), frequency, 0.5 * frequency, sample_rate)
    return _at_level(noise * np.exp(-t / decay) * np.minimum(1, t / 0.0005), 1.0)


def _kick(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A "b": lips that open, and a chest that falls from about 160 to 60 Hz."""
    t = np.arange(round(0.2 * sample_rate)) / sample_rate
    phase = 2 * np.pi * np.cumsum(60 + 100 * rng.uniform(0.8, 1.2) * np.exp(-t / 0.03)) / sample_rate
    thud, burst = np.sin(phase) * np.exp(-t / 0.05) * np.minimum(1, t / 0.002), _burst(500, 0.006, rng, sample_rate)
    thud[: len(burst)] += 0.6 * burst
    return _at_level(thud, 1.0)


def _snare(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A "pf": lips and teeth."""
    return _at_level(_hiss((1000, 7000), 0.045, rng, sample_rate), 0.8)


def _hat(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A "ts"."""
    return _at_level(_hiss((6000, 14000), rng.uniform(0.012, 0.03), rng, sample_rate), 0.5)


def _hiss(band: tuple[float, float], decay: float, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    t = np.arange(round(5 * decay * sample_rate)) / sample_rate
    sos = butter(2, np.minimum(band, 0.45 * sample_rate), "bandpass", fs=sample_rate, output="sos")
    return sosfilt(sos, rng.standard_normal(len(t))) * np.exp(-t / decay) * np.minimum(1, t / 0.001)


def _resonator(x: np.ndarray, frequency: float, bandwidth: float, sample_rate: int) -> np.ndarray:
    r, angle = np.exp(-np.pi * bandwidth / sample_rate), 2 * np.pi * frequency / sample_rate
    poles = np.array([1, -2 * r * np.cos(angle), r * r])
    return lfilter([poles.sum()], poles, x)


def _at_level(sound: np.ndarray, peak: float) -> np.ndarray:
    return peak * sound / np.abs(sound).max()


_BEATS = {"k": _kick, "s": _snare, "h": _hat}
