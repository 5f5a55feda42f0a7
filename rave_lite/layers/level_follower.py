"""The envelope of one sound, given to another."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.layers.padding import StreamingPad

WINDOW = 0.006  # s: over which levels are measured
FLOOR = 1e-6  # power: sounds below -60 dBFS count as if they were that loud
MOST = 4.6  # the logarithm of the largest power ratio: 20 dB up or down


class LevelFollower(nn.Module):
    """Gives a sound the short-time level of a guide. Both `(B, T, frame)`, samples in their order; B <= `streams`.

    The gain is measured once per frame of samples, over the last 6 ms, and glides between frames, 20 dB up or down at most.
    `amount`: `(T,)` of 0 to 1, the share of the difference in dB that is made up; 0 changes nothing. It remembers, as
    streaming layers do.
    """

    floor: Final[float] = FLOOR
    most: Final[float] = MOST
    ramp: Tensor

    def __init__(self, frame: int, sample_rate: int, streams: int = 1):
        super().__init__()
        self.window = max(2, round(WINDOW * sample_rate / frame))
        self.powers, self.last = StreamingPad(2, self.window - 1, streams), StreamingPad(1, 1, streams)
        self.register_buffer("ramp", torch.arange(1, frame + 1) / frame, persistent=False)

    def forward(self, sound: Tensor, guide: Tensor, amount: Tensor) -> Tensor:
        powers = self.powers(torch.stack([guide, sound], 1).square().mean(3))
        levels = torch.log(F.avg_pool1d(powers, self.window, 1) + self.floor)
        gain = (levels[:, :1] - levels[:, 1:]).clamp(-self.most, self.most) * (0.5 * amount)
        gain = self.last(gain).transpose(1, 2)  # (B, 1 + T, 1), natural logarithms
        return sound * torch.exp(torch.lerp(gain[:, :-1], gain[:, 1:], self.ramp))

    def reset(self) -> None:
        self.powers.cache.zero_()
        self.last.cache.zero_()
