"""Calibration: the latents of foreign sounds, moved and scaled onto those of the training set."""

import math
from typing import Final

import torch
from torch import Tensor, nn

from rave_lite.model.rave import RAVE

LIMITS = (0.05, 4.0)  # of the factors: a direction in which a sound hardly varies would be amplified to noise
NARROW = 0.5  # times the training set's deviation: of latents at its edges the decoder makes strokes that nobody played
READY = 0.5  # seconds of sound after which the calibration is complete; before, it is as far as its share of them
FADE = 0.03  # times the sound's own distance from the latent of silence: nearer frames fade towards silence
SILENCE = 0.1  # times the training set's distance from the latent of silence: nearer frames do not count
LARGEST = 1e4  # a latent further from silence is an error, and must not spoil the moments


class SourceMoments(nn.Module):
    """Mean and deviation of a player's latents along each principal direction, and the map onto the training set's.

    The mean becomes the training set's, the deviation half of its; a stereo model's image stays as it is.

    Frames of silence do not count, and stay silent. All streams share one set of moments, in buffers that are written in
    place and not saved. `learn`: 1 or 0, whether more are gathered. Before `forget_after` nothing is forgotten.
    """

    frames: Tensor
    sums: Tensor
    decay: Tensor
    learn: Tensor
    silence: Tensor
    deviation: Tensor
    least: Tensor
    ready: Tensor
    largest: Final[float] = LARGEST
    narrowest: Final[float] = LIMITS[0]
    widest: Final[float] = LIMITS[1]
    fade: Final[float] = FADE**2

    def __init__(self, model: RAVE):
        super().__init__()
        self.frame_rate, self.image_size = model.sample_rate / model.hop, model.image_size
        silence, deviation = latent_of_silence(model), model.principal.variance.sqrt().unsqueeze(1)
        self.register_buffer("silence", silence, persistent=False)
        self.register_buffer("deviation", NARROW * deviation, persistent=False)  # that of calibrated latents
        spread = (deviation.square() + silence.square())[self.image_size :].sum().sqrt()
        self.register_buffer("least", SILENCE * spread, persistent=False)
        ready = torch.full_like(silence, READY * self.frame_rate)
        ready[: self.image_size] = math.inf  # which never moves
        self.register_buffer("ready", ready, persistent=False)
        self.register_buffer("frames", silence.new_zeros(1, 1), persistent=False)
        self.register_buffer("sums", silence.new_zeros(2 * len(silence), 1), persistent=False)
        self.register_buffer("decay", silence.new_ones(1, 1), persistent=False)
        self.register_buffer("learn", silence.new_ones(1), persistent=False)

    def forward(self, p: Tensor, repeats: float = 1.0) -> None:
        """Hear principal directions `(B, n, T)`, each frame as if it came `repeats` times."""
        d = torch.nan_to_num((p - self.silence).clamp(-self.largest, self.largest))
        distance = torch.linalg.vector_norm(d[:, self.image_size :], dim=1, keepdim=True)
        weight = (distance > self.least) * self.learn * repeats
        new = torch.cat([d, d * d], 1) * weight
        count = weight.sum((0, 2)).unsqueeze(1)
        fade = self.decay.pow(count)
        torch.addcmul(count, self.frames, fade, out=self.frames)
        torch.addcmul(new.sum((0, 2)).unsqueeze(1), self.sums, fade, out=self.sums)

    def settings(self, amount: Tensor) -> Tensor:
        """Settings `(2 * n + 1, 1)` of `move`, for an `amount` `(1, 1)` of 0 to 1: factors, shifts, and the fade to silence.

        Deviations move geometrically: half way from 16 times what they shall be is 4 times.
        """
        mean, square = (self.sums / self.frames.clamp_min(1e-6)).chunk(2)
        amount = amount * (self.frames / self.ready).clamp_max(1.0)  # (n, 1)
        near = amount[-1:] * self.fade * square[self.image_size :].sum(0, keepdim=True)
        factor = self.deviation * torch.rsqrt((square - mean * mean).clamp_min(1e-12))
        factor = factor.clamp(self.narrowest, self.widest).pow(amount)
        shift = self.silence * (factor - 1) - amount * (mean + self.silence) * factor
        return torch.cat([factor, shift, near])

    def move(self, p: Tensor, settings: Tensor) -> Tensor:
        """Principal directions `(B, n, T)`, moved by settings `(2 * n + 1, T)` or `(2 * n + 1, 1)`."""
        n = p.shape[1]
        d = p - self.silence
        energy = d[:, self.image_size :].square().sum(1, keepdim=True) + 1e-9
        d = torch.addcmul(settings[n : 2 * n], d, settings[:n])
        return torch.addcmul(self.silence, d, energy / (energy + settings[2 * n :]))

    @torch.jit.export
    def forget_after(self, seconds: float) -> None:
        """Let frames of so many seconds of sound ago count e times less."""
        self.decay.fill_(math.exp(-1.0 / (seconds * self.frame_rate)))

    @torch.jit.export
    def reset(self) -> None:
        self.frames.zero_()
        self.sums.zero_()


@torch.no_grad()
def latent_of_silence(model: RAVE) -> Tensor:
    """What silence is encoded to, in principal directions, `(size, 1)`."""
    z = model.encode(model.principal.mean.new_zeros(1, model.channels, -(-model.receptive_field // model.hop) * model.hop))
    return model.principal(z)[0, :, -1:].nan_to_num().contiguous()
