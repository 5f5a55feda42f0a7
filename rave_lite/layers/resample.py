"""Streaming conversion between the host's sampling rate and the model's, by any ratio of integers."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from rave_lite.layers.padding import StreamingPad

CROSSINGS = 32  # zero crossings of the sinc on either side: half the filter's length in samples of the lower rate
BETA = 8.0  # Kaiser window: 80 dB
CUTOFF = 0.92  # of half the lower rate: 80 dB of attenuation from there on, flat to 0.84


class Resample(nn.Module):
    """`up / down` times the sampling rate, block after block. `(B, 1, T) -> (B, 1, n)`; n varies from block to block.

    Polyphase windowed sinc (Crochiere and Rabiner, Multirate Digital Signal Processing, 1983, section 4.3): T samples
    in all give `ceil(T * up / down)`. `delay` of the output: in steps of 1 / (up * input rate) s; `extra` adds to it.
    """

    table: Tensor

    def __init__(self, up: int, down: int, batch_size: int, extra: int = 0):
        super().__init__()
        half = CROSSINGS * max(up, down)
        taps = math.ceil((2 * half + extra + 1) / up)
        time = np.arange(taps * up) - half - extra
        window = np.i0(BETA * np.sqrt(np.maximum(0, 1 - (time / half) ** 2))) * (np.abs(time) <= half)
        table = (window * np.sinc(CUTOFF * time / max(up, down))).reshape(taps, up).T  # (phase, tap), newest sample first
        self.up, self.down, self.taps = up, down, taps
        self.delay = half + extra
        self.consumed = 0  # input samples so far, modulo `down`
        self.past = StreamingPad(1, taps - 1, batch_size)
        self.register_buffer("table", torch.from_numpy(table[:, ::-1] / table.sum(1, keepdims=True)).float(),
                             persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        start, end = self.consumed, self.consumed + x.shape[2]
        first, last = -(-start * self.up // self.down), -(-end * self.up // self.down)
        self.consumed = end % self.down
        positions = torch.arange(first, last, device=x.device) * self.down
        windows = self.past(x).squeeze(1).unfold(1, self.taps, 1).index_select(1, positions // self.up - start)
        return (windows * self.table.index_select(0, positions % self.up)).sum(2).unsqueeze(1)

    def reset(self) -> None:
        self.consumed = 0
        self.past.cache.zero_()


class ToModel(nn.Module):
    """Converts the host's blocks to the model's rate, and holds samples back to whole hops. `(B, 1, T) -> (B, 1, k * hop)`.

    `held`: zeros before the first sample. With `hop - 1` of them the model's output never falls behind its input.
    """

    cache: Tensor

    def __init__(self, up: int, down: int, hop: int, held: int, batch_size: int):
        super().__init__()
        self.hop = hop
        self.held = self.first = held
        self.resample = Resample(up, down, batch_size)
        self.register_buffer("cache", torch.zeros(batch_size, 1, hop), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.cache[: x.shape[0], :, : self.held], self.resample(x)], 2)
        complete = x.shape[2] // self.hop * self.hop
        self.held = x.shape[2] - complete
        self.cache[: x.shape[0], :, : self.held].copy_(x[..., complete:])
        return x[..., :complete]

    def reset(self) -> None:
        self.held = self.first
        self.cache.zero_()
        self.resample.reset()


class ToHost(nn.Module):
    """Converts the model's blocks to the host's rate and block length. `(B, 1, k * hop), T -> (B, 1, T)`."""

    cache: Tensor

    def __init__(self, up: int, down: int, hop: int, extra: int, batch_size: int):
        super().__init__()
        self.held = 0
        self.resample = Resample(up, down, batch_size, extra)
        self.register_buffer("cache", torch.zeros(batch_size, 1, hop * up // down + 4), persistent=False)

    def forward(self, x: Tensor, length: int) -> Tensor:
        held = self.cache[: x.shape[0], :, : self.held]
        y = torch.cat([held, self.resample(x)], 2) if x.shape[2] > 0 else held.clone()
        self.held = y.shape[2] - length
        self.cache[: x.shape[0], :, : self.held].copy_(y[..., length:])
        return y[..., :length].contiguous()

    def reset(self) -> None:
        self.held = 0
        self.cache.zero_()
        self.resample.reset()


class SameRate(nn.Module):
    """Takes the place of `ToModel` and `ToHost` where both rates are equal."""

    def forward(self, x: Tensor, length: int = 0) -> Tensor:
        return x

    def reset(self) -> None:
        pass


def host_rate(model_rate: int, rate: int, *, hop: int, latency: int,
              batch_size: int) -> tuple[SameRate | ToModel, SameRate | ToHost, int, int]:
    """Converters to the model and to the host, and the hop and latency of the model in samples of the host's `rate`.

    Where the model's hop is no power of two at the host's rate, the hop is 1: any block size, with up to one model hop more
    latency. The latency is exact: the second filter is shifted to make it a whole number.
    """
    if rate == model_rate:
        return SameRate(), SameRate(), hop, latency
    common = math.gcd(model_rate, rate)
    up, down = model_rate // common, rate // common  # to the model; a step is 1 / (up * rate) s
    frame = hop * down // up
    power_of_two = hop * down % up == 0 and frame & (frame - 1) == 0  # as block sizes of hosts are
    to_model = ToModel(up, down, hop, 0 if power_of_two else hop - 1, batch_size)
    steps = 2 * to_model.resample.delay + (to_model.held + latency) * down
    to_host = ToHost(down, up, hop, -steps % up, batch_size)
    return to_model, to_host, frame if power_of_two else 1, -(-steps // up)
