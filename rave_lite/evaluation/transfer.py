"""Timbre transfer: does a model keep the gesture of foreign sounds, and give them the timbre of its training set?"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np

from rave_lite.data import Clip, audio, subsample
from rave_lite.evaluation.attacks import sharpness
from rave_lite.evaluation.evaluate import at_rate, mean, names_of, played_through
from rave_lite.evaluation.metrics import high_share, level_order, loudness_correlation, onset_f1
from rave_lite.evaluation.reconstruct import Reconstruction, calibration
from rave_lite.evaluation.timbre import MAX_FRAMES, kernel_distance, timbre
from rave_lite.model import RAVE

MINUTES = 5.0  # minutes of each set whose timbre is compared


def transfer(model: RAVE, inputs: list[Clip], sets: dict[str, list[Clip]], held_out: list[Clip],
             keep: Callable[[str, np.ndarray], None], *, seed: int = 0, sample_rate: int | None = None,
             calibrate: float = 0.0, envelope: float = 0.0) -> dict[str, Any]:
    """Play the inputs through the model: `{"files": {name: figures}, "mean": figures, "together": ...}`.

    `keep` is called with each name and the model's output `(T,)`, or `(2, T)`; all figures are of the mix.
    `sample_rate`: of all clips, Hz; by default the model's.
    `calibrate`: how far the latents of the inputs of a folder are moved onto those of the training set, 0 to 1. `envelope`:
    how far the outputs' short-time levels follow the inputs', 0 to 1.

    Gesture, output against input: `onset_f1`; `loudness`, the correlation of the loudness curves; `order`, that of the ranks
    of the strokes' levels. Timbre: `in_to_NAME` and `out_to_NAME`, the kernel distances of input and output to each of the
    `sets` (5 min at most, drawn with `seed`). Brightness: `high_in` and `high_out`, the shares of energy above 4 kHz.
    Attacks: `sharp_in` and `sharp_out`, the `sharpness`, dB. "together": for each set the distances of all inputs, of all
    outputs, and of the `held_out` recordings, which is what a perfect timbre would reach. "groups": "mean" and "together" of
    each folder, if inputs are in several.
    """
    rate = sample_rate or model.sample_rate
    files: dict[str, dict[str, float]] = {}
    timbres: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    groups: dict[str, list[tuple[str, Clip]]] = {}
    targets = {name: _clip_timbre(tuple(subsample(clips, rate, seed, MINUTES)), rate, seed) for name, clips in sets.items()}
    for name, clip in zip(names_of(inputs), inputs, strict=True):
        groups.setdefault(str(PurePath(name).parent), []).append((name, clip))
    for group in groups.values():
        sounds = (np.atleast_2d(at_rate(clip.sound() if model.channels == 2 else clip.read(), rate, model.sample_rate))
                  for _, clip in group)
        play = Reconstruction(model, 1, calibration(model, sounds, calibrate), envelope)
        for name, clip in group:
            x, y = played_through(play, clip, seed, rate)
            keep(name, y)
            x, y = audio.mix(x), audio.mix(y)
            timbres[name] = _clip_timbre((clip,), rate, seed), timbre([y], rate, seed)
            distances = {f"{side}_to_{of}": kernel_distance(points, target) for of, target in targets.items()
                         for side, points in zip(("in", "out"), timbres[name], strict=True)}
            files[name] = {"onset_f1": onset_f1(x, y, rate), "loudness": loudness_correlation(x, y, rate),
                           "order": level_order(x, y, rate), **distances,
                           "high_in": high_share(x, rate), "high_out": high_share(y, rate),
                           "sharp_in": sharpness(x, rate), "sharp_out": sharpness(y, rate)}
    held_out_timbre = _clip_timbre(tuple(subsample(held_out, rate, seed, MINUTES)), rate, seed)

    def summed_up(names: list[str]) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        pooled = {side: rng.permutation(np.concatenate([timbres[name][i] for name in names]))[:MAX_FRAMES]
                  for i, side in enumerate(("inputs", "outputs"))} | {"held_out": held_out_timbre}
        return {"mean": mean([files[name] for name in names]),
                "together": {of: {name: kernel_distance(points, target) for name, points in pooled.items()}
                             for of, target in targets.items()}}

    by_folder = {folder: summed_up([name for name, _ in group]) for folder, group in groups.items()}
    return {"files": files, **summed_up([*files])} | ({"groups": by_folder} if len(groups) > 1 else {})


@lru_cache(maxsize=256)
def _clip_timbre(clips: tuple[Clip, ...], sample_rate: int, seed: int) -> np.ndarray:
    """The timbre of clips; cached, because several models are compared on the same clips."""
    return timbre([clip.read() for clip in clips], sample_rate, seed)
