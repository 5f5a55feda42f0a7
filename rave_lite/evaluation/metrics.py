"""Figures of one reconstruction against its reference; both mono, aligned, at the same rate."""

import warnings

import librosa
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

warnings.filterwarnings("ignore", "n_fft=.* is too large for input signal", module="librosa")  # a click is short

LOG_FLOOR = 1e-5  # of STFT magnitudes
MEL_FLOOR = 1e-8  # power: -80 dB
LOUDNESS_FLOOR = 1e-3  # RMS: -60 dB
ONSET_TOLERANCE = 0.05  # s


def figures(reference: np.ndarray, made: np.ndarray, sample_rate: int) -> dict[str, float]:
    """All of them: `spectral`, `mel_db`, `loud_db` (lower is better) and `onset_f1` (higher)."""
    return {"spectral": spectral(reference, made), "mel_db": mel_db(reference, made, sample_rate),
            "loud_db": loud_db(reference, made, sample_rate), "onset_f1": onset_f1(reference, made, sample_rate)}


def spectral(reference: np.ndarray, made: np.ndarray) -> float:
    """Multi-scale STFT distance: relative squared error plus mean absolute log difference, summed over n_fft 2048..128."""
    total = 0.0
    for n_fft in (2048, 1024, 512, 256, 128):
        a, b = (np.abs(librosa.stft(s, n_fft=n_fft, hop_length=n_fft // 4)) for s in (reference, made))
        total += float(((a - b) ** 2).mean() / ((a**2).mean() + 1e-12))
        total += float(np.abs(np.log((a + LOG_FLOOR) / (b + LOG_FLOOR))).mean())
    return total


def mel_db(reference: np.ndarray, made: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference of 80-band log-mel power, dB, both floored at -80 dB."""
    a, b = (librosa.feature.melspectrogram(y=s, sr=sample_rate, n_mels=80) for s in (reference, made))
    return float(np.abs(10 * np.log10(np.maximum(a, MEL_FLOOR) / np.maximum(b, MEL_FLOOR))).mean())


def loud_db(reference: np.ndarray, made: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference of the `loudness` curves, dB."""
    return float(np.abs(loudness(reference, sample_rate) - loudness(made, sample_rate)).mean())


def loudness(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """The level in 10 ms frames, dB, floored at -60 dB."""
    frame = sample_rate // 100
    rms = librosa.feature.rms(y=audio, frame_length=frame, hop_length=frame)[0]
    return 20 * np.log10(np.maximum(rms, LOUDNESS_FLOOR))


def loudness_correlation(reference: np.ndarray, made: np.ndarray, sample_rate: int) -> float:
    """Pearson's correlation of the `loudness` curves; 0 where one of them is flat, as silence is."""
    a, b = (curve - curve.mean() for curve in (loudness(s, sample_rate) for s in (reference, made)))
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale > 1e-9 else 0.0


def high_share(audio: np.ndarray, sample_rate: int, above: float = 4000.0) -> float:
    """The share of the energy above so many Hz, from blocks of a second (Parseval); 0 of silence."""
    power = np.zeros(sample_rate // 2 + 1)
    for at in range(0, len(audio), sample_rate):
        power += np.abs(np.fft.rfft(audio[at : at + sample_rate], sample_rate)) ** 2  # a bin is 1 Hz
    return float(power[round(above) :].sum() / max(power.sum(), 1e-30))


def onset_f1(reference: np.ndarray, made: np.ndarray, sample_rate: int) -> float:
    """F1 of the onsets in `made` against the reference's, matched one to one within 50 ms; 1 if neither has any."""
    truth, guess = (onsets(s, sample_rate) for s in (reference, made))
    if not len(truth) and not len(guess):
        return 1.0
    hits, i, j = 0, 0, 0
    while i < len(truth) and j < len(guess):  # both ascend: the earliest match is never worse
        if abs(truth[i] - guess[j]) <= ONSET_TOLERANCE:
            hits, i, j = hits + 1, i + 1, j + 1
        elif truth[i] < guess[j]:
            i += 1
        else:
            j += 1
    return 2 * hits / (len(truth) + len(guess))


def onsets(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Times of onsets in s, as librosa.onset.onset_detect; silence is put before, so that one at the start is heard."""
    lead, hop = 2048, 512
    strength = librosa.onset.onset_strength(y=np.pad(audio, (lead, 0)).astype(np.float32), sr=sample_rate, hop_length=hop)
    strength -= strength.min()
    found = peaks(strength / max(strength.max(), 1e-30), round(0.03 * sample_rate // hop), round(0.1 * sample_rate // hop))
    return (np.array(found) * hop - lead) / sample_rate


def peaks(strength: np.ndarray, near: int, far: int) -> list[int]:
    """The highest of the last `near` frames that are 0.07 above the mean of those up to `far` away, so far apart.

    As librosa.util.peak_pick, which numba compiles into a cache: two processes that fill it at once leave code that crashes
    there from then on (numba's issue 10128).
    """
    frames = np.arange(len(strength))
    highest = sliding_window_view(np.pad(strength, (near, 0), constant_values=-np.inf), near + 1).max(1)
    first, last = np.maximum(frames - far, 0), np.minimum(frames + far + 1, len(strength))
    sums = np.append(0, np.cumsum(strength, dtype=np.float64))
    mean = (sums[last] - sums[first]) / (last - first)
    found: list[int] = []
    for n in np.flatnonzero((strength == highest) & (strength >= mean + 0.07)).tolist():
        if not found or n > found[-1] + near:
            found.append(n)
    return found


def level_db(audio: np.ndarray) -> float:
    """RMS in dB of full scale; -200 at the least."""
    return float(20 * np.log10(max(1e-10, np.sqrt(np.mean(np.square(audio, dtype=np.float64))))))
