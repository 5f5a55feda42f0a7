"""New rhythms from a window's hits."""

from collections.abc import Sequence

import numpy as np

from rave_lite.data import audio
from rave_lite.data.augmentation.effects import interval
from rave_lite.data.windows import fade

FRAME = 0.002  # s


class Resequence:
    """Cuts a window at its onsets and places random hits from it on a new grid.

    The grid step is a quarter of a beat at a `tempo`, 1/min; `density`: the share of grid points that are played.
    `level_db`: of each hit; `jitter`: standard deviation of its time, s. Hits may overlap. Without onsets the
    window stays as it is.
    """

    def __init__(self, p: float, tempo: Sequence[float] = (60.0, 160.0), density: Sequence[float] = (0.2, 0.8),
                 level_db: Sequence[float] = (-9.0, 0.0), jitter: float = 0.005):
        self.p, self.jitter = p, jitter
        self.tempo = interval("tempo", tempo, 1.0, 1000.0)
        self.density = interval("density", density, 0.0, 1.0)
        self.level_db = interval("level_db", level_db, -120.0, 40.0)

    def __call__(self, samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        starts, length = onsets(audio.mix(samples), sample_rate), samples.shape[-1]
        if not len(starts):
            return samples
        hits = [hit * fade(hit.shape[-1]) for hit in np.split(samples, starts, axis=-1)[1:]]
        output = np.zeros_like(samples)
        for position in self._rhythm(length, sample_rate, rng):
            hit = hits[rng.integers(len(hits))][..., : length - position]
            output[..., position : position + hit.shape[-1]] += hit * np.float32(10 ** (rng.uniform(*self.level_db) / 20))
        return output

    def _rhythm(self, length: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        step = 60 / rng.uniform(*self.tempo) / 4 * sample_rate
        grid = np.arange(rng.uniform(0, min(step, length)), length, step)
        played = rng.random(len(grid)) < rng.uniform(*self.density)
        played[rng.integers(len(grid))] = True
        jitter = rng.normal(0, self.jitter * sample_rate, len(grid))
        return np.clip(np.round(grid + jitter), 0, length - 1).astype(int)[played]


def onsets(samples: np.ndarray, sample_rate: int, *, rise: float = 9.0, floor: float = -50.0,
           min_gap: float = 0.05) -> np.ndarray:
    """Where hits begin, in samples, at most 4 ms early: the level of 2 ms is `rise` dB above that of 8 to 26 ms before.

    The latter is the maximum of 18 ms, so that no period down to 28 Hz is taken for a hit. `floor`: lower bound of levels,
    dB relative to the loudest; `min_gap`: s between hits at least.
    """
    size = max(1, round(FRAME * sample_rate))
    power = np.square(samples[: len(samples) // size * size]).reshape(-1, size).mean(1)
    if not power.max(initial=0) > 0:
        return np.zeros(0, int)
    level = np.maximum(10 * np.log10(power / power.max() + 1e-20), floor)
    past = np.concatenate([np.full(12, level[0]), level])
    before = np.lib.stride_tricks.sliding_window_view(past, 9)[: len(level)].max(1)  # frames k - 12 to k - 4
    frames: list[int] = []
    for k in np.flatnonzero(level - before > rise).tolist():
        if not frames or (k - frames[-1]) * size > min_gap * sample_rate:
            frames.append(k)
    return np.maximum(0, np.array(frames, int) - 1) * size
