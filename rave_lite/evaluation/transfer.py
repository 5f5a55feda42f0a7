"""Timbre transfer: does a model keep the gesture of foreign sounds, and give them the timbre of its training set?"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from rave_lite.data import Clip, subsample
from rave_lite.evaluation.evaluate import at_rate, mean, names_of, played_through
from rave_lite.evaluation.metrics import high_share, loudness_correlation, onset_f1
from rave_lite.evaluation.reconstruct import Reconstruction, calibration
from rave_lite.evaluation.timbre import MAX_FRAMES, kernel_distance, timbre
from rave_lite.model import RAVE

MINUTES = 5.0  # minutes of each set whose timbre is compared


def transfer(model: RAVE, inputs: list[Clip], sets: dict[str, list[Clip]], held_out: list[Clip],
             keep: Callable[[str, np.ndarray], None], *, seed: int = 0, sample_rate: int | None = None,
             calibrate: float = 0.0) -> dict[str, Any]:
    """Play the inputs through the model: `{"files": {name: figures}, "mean": figures, "together": ...}`.

    `keep` is called with each name and the model's output `(T,)`. `sample_rate`: of all clips, Hz; by default the model's.
    `calibrate`: how far the latents of all inputs are moved onto those of the training set, 0 to 1.

    Gesture, output against input: `onset_f1` and `loudness`, the correlation of the loudness curves. Timbre: `in_to_NAME`
    and `out_to_NAME`, the kernel distances of input and output to each of the `sets` (5 min at most, drawn with `seed`).
    Brightness: `high_in` and `high_out`, the shares of energy above 4 kHz. "together": for each set the distances of all
    inputs, of all outputs, and of the `held_out` recordings, which is what a perfect timbre would reach.
    """
    rate = sample_rate or model.sample_rate
    sounds = (at_rate(clip.read(), rate, model.sample_rate)[None] for clip in inputs)
    play = Reconstruction(model, 1, calibration(model, sounds, calibrate))
    files: dict[str, dict[str, float]] = {}
    timbres: dict[str, list[np.ndarray]] = {"inputs": [], "outputs": []}
    targets = {name: _clip_timbre(tuple(subsample(clips, rate, seed, MINUTES)), rate, seed) for name, clips in sets.items()}
    for name, clip in zip(names_of(inputs), inputs, strict=True):
        x, y = played_through(play, clip, seed, rate)
        keep(name, y)
        before, after = _clip_timbre((clip,), rate, seed), timbre([y], rate, seed)
        distances = {f"{side}_to_{of}": kernel_distance(points, target) for of, target in targets.items()
                     for side, points in (("in", before), ("out", after))}
        files[name] = {"onset_f1": onset_f1(x, y, rate), "loudness": loudness_correlation(x, y, rate), **distances,
                       "high_in": high_share(x, rate), "high_out": high_share(y, rate)}
        timbres["inputs"].append(before)
        timbres["outputs"].append(after)
    rng = np.random.default_rng(seed)
    pooled = {name: rng.permutation(np.concatenate(points))[:MAX_FRAMES] for name, points in timbres.items()}
    pooled["held_out"] = _clip_timbre(tuple(subsample(held_out, rate, seed, MINUTES)), rate, seed)
    return {"files": files, "mean": mean(list(files.values())),
            "together": {of: {name: kernel_distance(points, target) for name, points in pooled.items()}
                         for of, target in targets.items()}}


@lru_cache(maxsize=256)
def _clip_timbre(clips: tuple[Clip, ...], sample_rate: int, seed: int) -> np.ndarray:
    """The timbre of clips; cached, because several models are compared on the same clips."""
    return timbre([clip.read() for clip in clips], sample_rate, seed)
