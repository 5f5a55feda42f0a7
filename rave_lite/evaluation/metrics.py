"""Spectra, levels and onsets of a reconstruction against its reference: both mono, aligned, at the same sample rate."""

import warnings

import librosa
import numpy as np
from mir_eval.util import match_events
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import spearmanr

from rave_lite.data.audio import decibels

warnings.filterwarnings("ignore", "n_fft=.* is too large for input signal", module="librosa")  # clicks are short

LOG_FLOOR = 1e-5  # of STFT magnitudes
MEL_FLOOR = 1e-8  # power: -80 dB
LOUDNESS_FLOOR = 1e-3  # RMS: -60 dB
ONSET_TOLERANCE = 0.05  # s
STROKE = 0.1  # s from an onset, within which its level is looked for


def spectral(reference: np.ndarray, output: np.ndarray) -> float:
    """Multi-scale STFT distance: relative squared error plus mean absolute log difference, summed over n_fft 2048..128."""
    total = 0.0
    for n_fft in (2048, 1024, 512, 256, 128):
        a, b = (np.abs(librosa.stft(s, n_fft=n_fft, hop_length=n_fft // 4)) for s in (reference, output))
        total += float(((a - b) ** 2).mean() / ((a**2).mean() + 1e-12))
        total += float(np.abs(np.log((a + LOG_FLOOR) / (b + LOG_FLOOR))).mean())
    return total


def mel_db(reference: np.ndarray, output: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference of 80-band log-mel power, dB, both floored at -80 dB."""
    a, b = (librosa.feature.melspectrogram(y=s, sr=sample_rate, n_mels=80) for s in (reference, output))
    return float(np.abs(10 * np.log10(np.maximum(a, MEL_FLOOR) / np.maximum(b, MEL_FLOOR))).mean())


def loud_db(reference: np.ndarray, output: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference of the `loudness` curves, dB."""
    return float(np.abs(loudness(reference, sample_rate) - loudness(output, sample_rate)).mean())


def loudness(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """RMS level in frames of 10 ms, dB, floored at -60 dB."""
    frame = sample_rate // 100
    rms = librosa.feature.rms(y=audio, frame_length=frame, hop_length=frame)[0]
    return 20 * np.log10(np.maximum(rms, LOUDNESS_FLOOR))


def loudness_correlation(reference: np.ndarray, output: np.ndarray, sample_rate: int) -> float:
    """Pearson's correlation of the `loudness` curves; 0 if one of them is constant, as for silence."""
    a, b = (curve - curve.mean() for curve in (loudness(s, sample_rate) for s in (reference, output)))
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale > 1e-9 else 0.0


def high_share(audio: np.ndarray, sample_rate: int, above: float = 4000.0) -> float:
    """Share of the energy at `above` Hz and higher, from spectra of one-second blocks (Parseval); 0 for silence."""
    power = np.zeros(sample_rate // 2 + 1)
    for at in range(0, len(audio), sample_rate):
        power += np.abs(np.fft.rfft(audio[at : at + sample_rate], sample_rate)) ** 2  # a bin is 1 Hz
    return float(power[round(above) :].sum() / max(power.sum(), 1e-30))


def onset_f1(reference: np.ndarray, output: np.ndarray, sample_rate: int) -> float:
    """F1 score of the output's onsets against the reference's, matched one to one within 50 ms; 1 if neither has any."""
    expected, detected = (onsets(s, sample_rate) for s in (reference, output))
    if not len(expected) and not len(detected):
        return 1.0
    return 2 * len(match_events(expected, detected, ONSET_TOLERANCE)) / (len(expected) + len(detected))


def level_order(reference: np.ndarray, output: np.ndarray, sample_rate: int) -> float:
    """Spearman's rank correlation of the levels of onsets that both have: are the accents where they were?

    0 where fewer than three are matched, or one side has all of them equally loud.
    """
    times = [onsets(s, sample_rate) for s in (reference, output)]
    pairs = match_events(*times, ONSET_TOLERANCE)
    levels = [stroke_levels(s, at[list(matched)], sample_rate)
              for s, at, matched in zip((reference, output), times, zip(*pairs, strict=True), strict=False)]
    if len(pairs) < 3 or any(np.ptp(side) < 1e-9 for side in levels):
        return 0.0
    return float(spearmanr(*levels).statistic)


def stroke_levels(audio: np.ndarray, times: np.ndarray, sample_rate: int) -> np.ndarray:
    """The highest `loudness` from 20 ms before each time, s, to 100 ms after it, dB."""
    curve = loudness(audio, sample_rate)
    first = np.maximum(np.round((times - 0.02) * 100).astype(int), 0)
    return np.array([curve[min(at, len(curve) - 1) : at + round((STROKE + 0.02) * 100)].max() for at in first])


def onsets(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Onset times, s, as librosa.onset.onset_detect; silence is prepended so that an onset at the start is detected.

    Known to 12 ms, as other scorers have them; `data.augmentation.rhythm` needs hits to 4 ms, in a fiftieth of the time.
    """
    lead, hop = 2048, 512
    strength = librosa.onset.onset_strength(y=np.pad(audio, (lead, 0)).astype(np.float32), sr=sample_rate, hop_length=hop)
    strength -= strength.min()
    frames = peaks(strength / max(strength.max(), 1e-30), round(0.03 * sample_rate // hop), round(0.1 * sample_rate // hop))
    return (np.array(frames) * hop - lead) / sample_rate


def rise(sound: np.ndarray, onset: int, sample_rate: int) -> int:
    """The sample, to 2 ms, of the steepest rise within 30 ms of an onset, which is only known to 12 ms."""
    frame = sample_rate // 500
    first = max(0, onset - 15 * frame) // frame * frame
    near = sound[first : onset + 15 * frame]
    level = np.abs(near[: len(near) // frame * frame]).reshape(-1, frame).max(1, initial=1e-6)
    if len(level) < 2:
        return onset
    before = level[0] if first else 0.0  # silence goes before the sound
    steps = np.diff(np.log(np.append(before, level) + 0.02 * level.max()))
    return first + int(steps.argmax()) * frame


def peaks(strength: np.ndarray, near: int, far: int) -> list[int]:
    """Frames that are the highest of the last `near` and at least 0.07 above the mean within `far`, more than `near` apart.

    As librosa.util.peak_pick, which is avoided because numba caches its compiled code: two processes that fill the cache at
    once leave code that crashes from then on (numba's issue 10128).
    """
    frames = np.arange(len(strength))
    highest = sliding_window_view(np.pad(strength, (near, 0), constant_values=-np.inf), near + 1).max(1)
    first, last = np.maximum(frames - far, 0), np.minimum(frames + far + 1, len(strength))
    sums = np.append(0, np.cumsum(strength, dtype=np.float64))
    mean = (sums[last] - sums[first]) / (last - first)
    picked: list[int] = []
    for n in np.flatnonzero((strength == highest) & (strength >= mean + 0.07)).tolist():
        if not picked or n > picked[-1] + near:
            picked.append(n)
    return picked


def level_db(audio: np.ndarray) -> float:
    """RMS level, dBFS, at least -200."""
    return decibels(np.sqrt(np.mean(np.square(audio, dtype=np.float64))), -200)
