"""The figures of a reconstruction against its reference."""

import math

import numpy as np

from rave_lite.data import audio
from rave_lite.evaluation.attacks import attack_figures
from rave_lite.evaluation.metrics import loud_db, mel_db, onset_f1, spectral


def figures(reference: np.ndarray, output: np.ndarray, sample_rate: int) -> dict[str, float]:
    """All figures of two sounds, aligned, at the same sample rate; lower is better but for `onset_f1`.

    Of stereo sounds `(2, T)` they are those of the mix, and of the image: `pan_db` and `corr` are the errors of
    the level difference of the channels, dB, and of their correlation; `_in` and `_out`: of reference and output.
    """
    x, y = audio.mix(reference), audio.mix(output)
    rows = {"spectral": spectral(x, y), "mel_db": mel_db(x, y, sample_rate), "loud_db": loud_db(x, y, sample_rate),
            "onset_f1": onset_f1(x, y, sample_rate), **attack_figures(x, y, sample_rate)}
    if reference.ndim == 1:
        return rows
    (balance_in, correlation_in), (balance_out, correlation_out) = image(reference), image(output)
    return rows | {"pan_db": abs(balance_out - balance_in), "corr": abs(correlation_out - correlation_in),
                   "pan_in": balance_in, "pan_out": balance_out,
                   "corr_in": correlation_in, "corr_out": correlation_out}


def image(sound: np.ndarray) -> tuple[float, float]:
    """How much louder left is than right, dB, and the correlation of both, of a sound `(2, T)`; 0 dB, 1 of silence."""
    left, right = sound.astype(np.float64)
    powers = max(float(left @ left), 1e-20), max(float(right @ right), 1e-20)
    if max(powers) <= 1e-20:
        return 0.0, 1.0
    return 10 * math.log10(powers[0] / powers[1]), float(left @ right) / math.sqrt(powers[0] * powers[1])
