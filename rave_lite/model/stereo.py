"""Parametric stereo: the image of two channels in two latents, which the network neither learns nor needs to know."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.layers import CausalPad

IMAGE = 2  # latents: place and width
WINDOW = 512  # samples: over which the image is measured at least
RAMP = 64  # samples: over which it moves
DECORRELATION = 192  # samples: by which the middle is late where it stands for what left and right do not share
MIN_POWER = 1e-8  # of both channels, -80 dBFS: the image of quieter sounds is in the middle
MIN_ENERGY = 1e-9  # of the middle in that time: below, nothing is heard
MAX_GAIN = 2.0  # of what is not in the middle: at an attack there is none yet
MIN_MIDDLE = 0.05  # share of the power that is in the middle: no gain is higher where left and right cancel there


class Powers(nn.Module):
    """Powers and product of two signals' bands, `(B, 2 * n_bands, T) -> (4, B, T / rate)`: first, both, both, second.

    Over a frame of `rate` band samples, or over `WINDOW` samples that end with it.
    """

    def __init__(self, n_bands: int, rate: int):
        super().__init__()
        self.rate, self.window = rate, max(rate, WINDOW // n_bands)
        self.past = CausalPad(2 * n_bands, self.window - rate)

    def forward(self, bands: Tensor) -> Tensor:
        frames = self.past(bands).unfold(2, self.window, self.rate).unflatten(1, [2, -1])
        rows = frames.permute(0, 3, 1, 2, 4).flatten(3)  # (B, T / rate, 2, n_bands * window)
        return torch.matmul(rows, rows.transpose(2, 3)).flatten(2).permute(2, 0, 1)


class ImageAnalysis(nn.Module):
    """The image of both channels' bands `(B, 2 * n_bands, T) -> (B, 2, T / rate)`, in the latents place and width.

    With the powers of both channels, l and r, and their product c, all over one latent frame or `WINDOW` samples, the place
    is (r - l) / (r + l): -1 is left, 0 the middle, 1 right. The width is 1 - 2c / (r + l): 0 is the same on both sides, 1
    has nothing in common, 2 differs in sign alone. Silence has neither.

    `rate`: band samples per latent frame; `delay`: latent frames by which those of the encoder are late.
    """

    def __init__(self, n_bands: int, rate: int, delay: int):
        super().__init__()
        self.powers = Powers(n_bands, rate)
        self.floor = MIN_POWER * n_bands * self.powers.window
        self.late = CausalPad(IMAGE, delay)

    def forward(self, bands: Tensor) -> Tensor:
        left, both, _, right = self.powers(bands).unbind()
        total = left + right
        image = torch.stack([right - left, total - 2 * both], 1) / (total + self.floor).unsqueeze(1)
        return self.late(image)[..., : image.shape[2]]


class ImageSynthesis(nn.Module):
    """Spreads the middle. Bands `(B, n_bands, T)` and image `(B, 2, T / rate)` to both channels' `(B, 2 * n_bands, T)`.

    Their mean is the middle itself. Half their difference is the middle times a gain, and what has nothing in common with
    the middle: itself, delayed, less what it shares with it, at its level in the last latent frame or `WINDOW` samples
    (after Breebaart et al., Parametric Coding of Stereo Audio, EURASIP JASP 2005). So powers and correlation are those of
    the image. An image that no sound has is moved onto the nearest direction that one has.

    `late`: band samples by which the middle is later than the latent frames.
    """

    least: Final[float] = 2 * MIN_MIDDLE - 1
    most: Final[float] = MAX_GAIN
    floor: Final[float] = MIN_ENERGY

    def __init__(self, n_bands: int, rate: int, late: int):
        super().__init__()
        self.rate, self.ramp, self.delay = rate, max(1, RAMP // n_bands), max(1, DECORRELATION // n_bands)
        self.late = CausalPad(IMAGE, late)
        self.middle = CausalPad(n_bands, self.delay)
        self.powers = Powers(n_bands, rate)
        self.settings = CausalPad(IMAGE + 2, self.ramp - 1)

    def forward(self, middle: Tensor, image: Tensor) -> Tensor:
        image = self.late(image.repeat_interleave(self.rate, 2))[..., : middle.shape[2]]
        delayed = self.middle(middle)[..., : middle.shape[2]]
        steps = torch.cat([image, self.decorrelation(middle, delayed).repeat_interleave(self.rate, 2)], 1)
        place, width, share, gain = F.avg_pool1d(self.settings(steps), self.ramp, 1).chunk(4, 1)
        common = 1 - width
        length = torch.hypot(place, common).clamp_min(1)
        place, common = place / length, (common / length).clamp_min(self.least)
        apart = gain * (1 - place * place - common * common).clamp_min(0).sqrt()
        side = torch.addcmul((place - apart * share) * middle, apart, delayed) / (1 + common)
        return torch.cat([middle - side, middle + side], 1)

    def decorrelation(self, middle: Tensor, delayed: Tensor) -> Tensor:
        """How much of the middle is in the delayed one, and the gain of the rest, `(B, 2, T / rate)`."""
        power, both, _, other = self.powers(torch.cat([middle, delayed], 1)).unbind()
        power = power + self.floor
        share = both / power
        rest = (other - share * both).clamp_min(0) + self.floor
        return torch.stack([share, (power / rest).sqrt().clamp_max(self.most)], 1)
