"""What the discriminators hear is changed at random while they overfit."""

import math

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rave_lite.errors import InputError

HIGHEST = 0.8  # p beyond which the generator learns the changes, too (the paper, section 2.2)
GAIN, EQ, MUTED = 6.0, 6.0, 0.1  # the most: dB, dB, share of the window
ANGLES, RADII = (0.003, 0.3), (0.5, 0.95)  # of the all-pass filter's poles: rad per sample, 21 to 2100 Hz at 44.1 kHz
KNOTS = 8  # of the equaliser's curve, from 0.003 rad per sample on, equally spaced by logarithm


class AdaptiveAugmentation(nn.Module):
    """Adaptive discriminator augmentation (Karras et al., 2020, arXiv 2006.06676): `(B, 1, T)` twice, real and made.

    Both are changed alike, each item by its own draw: gain, polarity, circular shift in time, all-pass, equaliser and a
    short silence, each with probability `p`, which is state. The discriminators overfit when r, the mean sign of what they
    say to real audio, is above `target`: then p rises, else it falls, as fast as from 0 to 1 in `ramp` windows heard.
    Raises InputError for a target or ramp that cannot be.
    """

    p: Tensor

    def __init__(self, *, target: float = 0.6, ramp: float = 50_000):
        super().__init__()
        if not isinstance(target, int | float) or not -1 < target < 1:
            raise InputError(f"training.ada.target: {target} is not between -1 and 1; say 0.6")
        if not isinstance(ramp, int | float) or not ramp > 0:
            raise InputError(f"training.ada.ramp: {ramp} is no number of windows; say 50000")
        self.target, self.ramp = target, ramp
        self.register_buffer("p", torch.zeros(()))

    def forward(self, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        response, sounding = self.response(real).unsqueeze(1), self.sounding(real).unsqueeze(1)
        first, second = (sounding * torch.fft.irfft(response * torch.fft.rfft(x), x.shape[-1]) for x in (real, made))
        return first, second

    @torch.no_grad()
    def adapt(self, heard: list[list[Tensor]], windows: int) -> None:
        """Move `p` by what the discriminators, scores last, made of so many real windows; as one over all processes."""
        r, processes = torch.stack([features[-1].float().sign().mean() for features in heard]).mean(), 1
        if dist.is_available() and dist.is_initialized():
            processes = dist.get_world_size()
            dist.all_reduce(r)
        self.p.add_((r / processes - self.target).sign() * processes * windows / self.ramp).clamp_(0, HIGHEST)

    def response(self, x: Tensor) -> Tensor:
        """`(B, T // 2 + 1)`, complex: gain, polarity, shift, all-pass and equaliser of each item as one filter."""
        length = x.shape[-1]
        bins = torch.arange(length // 2 + 1, device=x.device)
        w = 2 * math.pi / length * bins
        level = self._drawn(x, -GAIN, GAIN) + self._curve(x, w)
        sign = torch.where(self._drawn(x, 0, 1) > 0.5, -1.0, 1.0)
        shift = self._drawn(x, 0, length).long()
        phase = bins * shift % length * (-2 * math.pi / length)
        return torch.polar(10 ** (level / 20), phase) * sign * self._all_pass(x, w)

    def sounding(self, x: Tensor) -> Tensor:
        """`(B, T)`: 0 in the silence, else 1."""
        at = torch.arange(x.shape[-1], device=x.device)
        share = self._drawn(x, 0, MUTED)
        start = torch.rand_like(share) * (1 - share) * x.shape[-1]
        return 1 - ((at >= start) & (at < start + share * x.shape[-1])).to(x.dtype)

    def _drawn(self, x: Tensor, low: float, high: float, neutral: float = 0.0) -> Tensor:
        """`(B, 1)`, uniform between `low` and `high` with probability p, else `neutral`."""
        chosen, value = torch.rand(2, len(x), 1, device=x.device)
        return torch.where(chosen < self.p, low + (high - low) * value, neutral)

    def _curve(self, x: Tensor, w: Tensor) -> Tensor:
        """dB of the equaliser at angles `w`, `(B, F)`: linear in log w between its knots."""
        knots = torch.cat([self._drawn(x, -EQ, EQ) for _ in range(KNOTS)], 1)
        place = (w / ANGLES[0]).clamp(min=1).log() / math.log(math.pi / ANGLES[0]) * (KNOTS - 1)
        left = place.long().clamp(max=KNOTS - 2)
        return torch.lerp(knots[:, left], knots[:, left + 1], place - left)

    def _all_pass(self, x: Tensor, w: Tensor) -> Tensor:
        """Of second order, at angles `w`, `(B, F)`; two samples early, so that poles at the origin change nothing."""
        r = self._drawn(x, *RADII)
        angle = ANGLES[0] * (ANGLES[1] / ANGLES[0]) ** torch.rand_like(r)
        z = torch.polar(torch.ones_like(w), -w)
        below = 1 - 2 * r * angle.cos() * z + (r * z) ** 2
        return below.conj() / below
