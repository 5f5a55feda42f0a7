"""Whether a model in training is alive: it answers to sound, and learns."""

import torch
import torch.nn.functional as F

from rave_lite.data import Pieces
from rave_lite.evaluation.vital_signs import of_model
from rave_lite.training.losses import reconstruction_distance
from rave_lite.training.module import RAVETraining
from rave_lite.training.runner import tf32

FALLS = 0.99  # a distance below so much of the lowest one so far has fallen
LOOKED_AT, TAKEN = 16, 3  # pieces


class Life:
    """Looks at the model: at its `vital_signs`, and at the distance `linear` from training pieces, against that of silence.

    `trouble`: what is wrong since step `alive`, or None: a vital sign, or a distance that neither falls nor is below that of
    silence. An untrained model may have the latter for a while: it hisses where the pieces fade out. `lost`: what makes the
    state worse than one that was there before: a vital sign, or a distance that was below that of silence once.
    """

    def __init__(self, pieces: Pieces, module: RAVETraining):
        second, least = module.model.sample_rate, max(module.distance.n_fft)
        first = [pieces[i][0][None, :, :second] for i in range(min(LOOKED_AT, len(pieces)))]
        loudest = sorted(first, key=lambda x: float(x.square().mean()))[-TAKEN:]  # never a rest
        self.pieces = [F.pad(x, (0, max(0, least - x.shape[2]))).to(module.device) for x in loudest]
        self.silence = sum(float(module.distance(x, torch.zeros_like(x))["linear"]) for x in self.pieces)
        self.lowest = float("inf")
        self.trouble: str | None = None
        self.lost: str | None = None
        self.step = self.alive = -1
        self.look(module)

    @tf32(False)
    @torch.no_grad()
    def look(self, module: RAVETraining) -> None:
        """Reads the device. Of several looks at a step the first counts. Draws from torch's generators, as a step does."""
        if module.step == self.step:
            return
        self.step = module.step
        distance = sum(float(reconstruction_distance(module.distance, module.model, x)) for x in self.pieces)
        falls = distance < FALLS * self.lowest
        self.lowest = distance if falls else self.lowest
        self.lost = self.trouble = of_model(module.model).trouble()
        if self.trouble is None and not falls and not distance < self.silence:
            self.trouble = (f"learns nothing: its distance from training pieces ({distance:.0f}) does not fall below "
                            f"silence's ({self.silence:.0f})")
            self.lost = self.trouble if self.lowest < self.silence else None
        if self.trouble is None:
            self.alive = self.step

