"""The figures of a reconstruction against its reference."""

import numpy as np

from rave_lite.evaluation.attacks import attack_figures
from rave_lite.evaluation.metrics import loud_db, mel_db, onset_f1, spectral


def figures(reference: np.ndarray, output: np.ndarray, sample_rate: int) -> dict[str, float]:
    """All figures of two mono sounds, aligned, at the same sample rate; lower is better but for `onset_f1`."""
    return {"spectral": spectral(reference, output), "mel_db": mel_db(reference, output, sample_rate),
            "loud_db": loud_db(reference, output, sample_rate), "onset_f1": onset_f1(reference, output, sample_rate),
            **attack_figures(reference, output, sample_rate)}
