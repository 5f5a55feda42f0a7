"""Random augmentation of the discriminators' inputs, stronger while they overfit."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rave_lite.errors import InputError

MAX_P = 0.8  # of p; beyond it the generator learns the augmentations, too (the paper, section 2.2)
MAX_GAIN_DB, MAX_EQ_DB, MAX_SILENCE = 6.0, 6.0, 0.1  # dB, dB, share of the window
POLE_ANGLES, POLE_RADII = (0.003, 0.3), (0.5, 0.95)  # of the all-pass: rad per sample, 21 to 2100 Hz at 44.1 kHz
EQ_KNOTS = 8  # of the equaliser, log-spaced from 0.003 rad per sample to pi


def adaptive(settings: Any) -> "AdaptiveAugmentation | None":
    """Adaptive augmentation with the settings `training.ada`, None for None. Raises InputError for unknown settings."""
    if settings is None:
        return None
    if not isinstance(settings, Mapping) or not settings.keys() <= {"target", "ramp"}:
        raise InputError(f"{settings}; say null, or {{target: 0.6, ramp: 50000}}", where="training.ada")
    return AdaptiveAugmentation(**settings)


class AdaptiveAugmentation(nn.Module):
    """Adaptive discriminator augmentation (Karras et al., 2020, arXiv 2006.06676) of real and generated `(B, 1, T)`.

    Both get the same random changes, drawn for each item: gain, polarity, circular shift in time, all-pass, equaliser and
    a short silence, each with probability `p`, a buffer. The discriminators overfit when r, the mean sign of their scores
    of real audio, is above `target`: then p rises, else it falls; from 0 to 1 takes `ramp` real windows. Raises InputError
    for an impossible target or ramp.
    """

    p: Tensor

    def __init__(self, *, target: float = 0.6, ramp: float = 50_000):
        super().__init__()
        if not isinstance(target, int | float) or not -1 < target < 1:
            raise InputError(f"{target} is not between -1 and 1; say 0.6", where="training.ada.target")
        if not isinstance(ramp, int | float) or not ramp > 0:
            raise InputError(f"{ramp} is no number of windows; say 50000", where="training.ada.ramp")
        self.target, self.ramp = target, ramp
        self.register_buffer("p", torch.zeros(()))

    def forward(self, real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
        response, mask = self.response(real).unsqueeze(1), self.silence_mask(real).unsqueeze(1)
        first, second = (mask * torch.fft.irfft(response * torch.fft.rfft(x), x.shape[-1]) for x in (real, generated))
        return first, second

    @torch.no_grad()
    def adapt(self, scores: list[Tensor], windows: int) -> None:
        """Move `p` by the discriminators' scores of real windows; r is the mean over all processes."""
        r, processes = torch.stack([score.float().sign().mean() for score in scores]).mean(), 1
        if dist.is_available() and dist.is_initialized():
            processes = dist.get_world_size()
            dist.all_reduce(r)
        self.p.add_((r / processes - self.target).sign() * processes * windows / self.ramp).clamp_(0, MAX_P)

    def response(self, x: Tensor) -> Tensor:
        """`(B, T // 2 + 1)`, complex: gain, polarity, shift, all-pass and equaliser of each item as one filter."""
        length = x.shape[-1]
        bins = torch.arange(length // 2 + 1, device=x.device)
        w = 2 * math.pi / length * bins
        gain = self._draw_per_item(x, -MAX_GAIN_DB, MAX_GAIN_DB)
        knots = torch.cat([self._draw_per_item(x, -MAX_EQ_DB, MAX_EQ_DB) for _ in range(EQ_KNOTS)], 1)
        level = gain + equaliser_db(knots, w)
        sign = torch.where(self._draw_per_item(x, 0, 1) > 0.5, -1.0, 1.0)
        shift = self._draw_per_item(x, 0, length).long()
        phase = bins * shift % length * (-2 * math.pi / length)
        return torch.polar(10 ** (level / 20), phase) * sign * self._all_pass(x, w)

    def silence_mask(self, x: Tensor) -> Tensor:
        """`(B, T)`: 0 in each item's silence, else 1."""
        time = torch.arange(x.shape[-1], device=x.device)
        share = self._draw_per_item(x, 0, MAX_SILENCE)
        start = torch.rand_like(share) * (1 - share) * x.shape[-1]
        return 1 - ((time >= start) & (time < start + share * x.shape[-1])).to(x.dtype)

    def _draw_per_item(self, x: Tensor, low: float, high: float, neutral: float = 0.0) -> Tensor:
        """`(B, 1)`, uniform between `low` and `high` with probability p, else `neutral`."""
        chance, value = torch.rand(2, len(x), 1, device=x.device)
        return torch.where(chance < self.p, low + (high - low) * value, neutral)

    def _all_pass(self, x: Tensor, w: Tensor) -> Tensor:
        """`(B, F)`: response of a second-order all-pass at angles `w`, two samples early: poles at 0 then change nothing."""
        r = self._draw_per_item(x, *POLE_RADII)
        angle = POLE_ANGLES[0] * (POLE_ANGLES[1] / POLE_ANGLES[0]) ** torch.rand_like(r)
        z = torch.polar(torch.ones_like(w), -w)
        denominator = 1 - 2 * r * angle.cos() * z + (r * z) ** 2
        return denominator.conj() / denominator


def equaliser_db(knots: Tensor, w: Tensor) -> Tensor:
    """`(B, F)`: an equaliser's gain in dB at angles `w`, linear in log w between its knots `(B, K)`."""
    position = (w / POLE_ANGLES[0]).clamp(min=1).log() / math.log(math.pi / POLE_ANGLES[0]) * (knots.shape[1] - 1)
    left = position.long().clamp(max=knots.shape[1] - 2)
    return torch.lerp(knots[:, left], knots[:, left + 1], position - left)
