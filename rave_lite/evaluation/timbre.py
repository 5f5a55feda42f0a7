"""Distance in timbre between two collections of sounds."""

from collections.abc import Iterable

import numpy as np
import torch

from rave_lite.data.windows import fade
from rave_lite.evaluation.embedding import embed
from rave_lite.model.latent import imq, mmd, squared_distances

FRAME, STEP = 0.2, 0.1  # s
QUIET_FRAME_DB = 40.0  # dB below the loudest frame of a sound: quieter frames are left out
MAX_FRAMES = 1000  # frames of a collection that are compared


def timbre(sounds: Iterable[np.ndarray], sample_rate: int, seed: int = 0) -> np.ndarray:
    """Embeddings `(N, 39)` of the audible frames of sounds `(T,)`; if more than 1000, a random 1000, drawn with `seed`."""
    audible = [frame for sound in sounds for frame in frames(sound, sample_rate)]
    chosen = sorted(np.random.default_rng(seed).permutation(len(audible))[:MAX_FRAMES])
    return np.array([embed(audible[i] * fade(len(audible[i])), sample_rate) for i in chosen])


def frames(sound: np.ndarray, sample_rate: int) -> list[np.ndarray]:
    """Audible frames of 0.2 s, every 0.1 s or quarter of a sound below 0.4 s; the two loudest are always among them."""
    step = max(1, min(round(STEP * sample_rate), len(sound) // 4))
    all_frames = [sound[at : at + round(FRAME * sample_rate)] for at in range(0, len(sound), step)]
    energy = np.array([np.square(frame, dtype=np.float64).sum() for frame in all_frames])
    threshold = min(energy.max() * 10 ** (-QUIET_FRAME_DB / 10), np.sort(energy)[-2:][0])
    return [frame for frame, e in zip(all_frames, energy, strict=True) if e >= threshold]


def kernel_distance(x: np.ndarray, target: np.ndarray) -> float:
    """The `mmd` of points `(N, D)` to a target set `(M, D)`; about 0 if distributed alike, at most 2.

    As a distance of embedded sounds or pictures: Binkowski et al., ICLR 2018. Inverse multiquadratic kernel, averaged over
    seven scales: those of the latent's penalty, times the median squared distance within the target set (the median
    heuristic of Gretton et al., section 8). Its heavy tails distinguish large distances, too. Both sets need at least two
    points.
    """
    a, b = (torch.from_numpy(np.ascontiguousarray(points, np.float64)) for points in (x, target))
    within = squared_distances(b, b)
    typical = within[~torch.eye(len(b), dtype=torch.bool)].median().clamp_min(1e-12)
    return float(mmd(a, b, lambda squared, _: imq(squared / typical, 0.5)))  # scales are twice the size given
