"""Checks whether a model in training is alive: it responds to sound, and learns."""

import torch
import torch.nn.functional as F

from rave_lite.data import Pieces
from rave_lite.evaluation.vital_signs import of_model
from rave_lite.training.losses import reconstruction_distance, views
from rave_lite.training.module import RAVETraining
from rave_lite.training.runner import tf32

FALL_RATIO = 0.99  # a distance below this share of the lowest one so far counts as fallen
CANDIDATES, LOUDEST = 16, 3  # training pieces looked at, and used


class Life:
    """Checks a model's `vital_signs`, and its distance `linear` from training pieces against the distance of silence.

    `trouble`: what has been wrong since step `alive`, or None: a vital sign, or a distance that neither falls nor is below
    that of silence. An untrained model may have the latter for a while: it hisses where the pieces fade out. `lost`: what
    makes the state worse than an earlier one: a vital sign, or a distance that was below that of silence before.
    """

    def __init__(self, pieces: Pieces, module: RAVETraining):
        second, min_length = module.model.sample_rate, max(module.distance.n_fft)
        starts = [pieces[i][0][None, :, :second] for i in range(min(CANDIDATES, len(pieces)))]
        loudest = sorted(starts, key=lambda x: float(x.square().mean()))[-LOUDEST:]  # not the silent ones
        self.pieces = [F.pad(x, (0, max(0, min_length - x.shape[2]))).to(module.device) for x in loudest]
        self.silence = sum(float(module.distance(views(x), views(torch.zeros_like(x)))["linear"]) for x in self.pieces)
        self.lowest = float("inf")
        self.trouble: str | None = None
        self.lost: str | None = None
        self.step = self.alive = -1
        self.look(module)

    @tf32(False)
    @torch.no_grad()
    def look(self, module: RAVETraining) -> None:
        """Check the model, once per step. Reads the device, and draws from torch's generators as a step does."""
        if module.step == self.step:
            return
        self.step = module.step
        distance = sum(float(reconstruction_distance(module.distance, module.model, x)) for x in self.pieces)
        falls = distance < FALL_RATIO * self.lowest
        self.lowest = distance if falls else self.lowest
        self.lost = self.trouble = of_model(module.model).trouble()
        if self.trouble is None and not falls and not distance < self.silence:
            self.trouble = (f"learns nothing: its distance from training pieces ({distance:.0f}) does not fall below "
                            f"silence's ({self.silence:.0f})")
            self.lost = self.trouble if self.lowest < self.silence else None
        if self.trouble is None:
            self.alive = self.step

