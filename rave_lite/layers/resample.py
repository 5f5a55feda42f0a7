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


class FrameClock(nn.Module):
    """Counts the host's frames. After `n` of them, `ceil(n * up / down)` of the model's are complete; `up <= down`."""

    def __init__(self, up: int, down: int):
        super().__init__()
        self.up, self.down = up, down
        self.now = 0  # frames so far, modulo `down`

    def advance(self, frames: int) -> None:
        self.now = (self.now + frames) % self.down

    def complete(self, frames: int) -> int:
        """Frames of the model that are complete after `frames` of the host."""
        return -(-frames * self.up // self.down)

    def behind(self, frames: int, device: torch.device) -> Tensor:
        """Frames of the model that are complete at the end of each of the last `frames` of the host, less those now."""
        ends = torch.arange(self.now - frames + 1, self.now + 1, device=device)
        return -(-ends * self.up // self.down) - self.complete(self.now)

    def due(self, frames: int, device: torch.device) -> Tensor:
        """Numbers of those of the next `frames` of the host, from 0, in which a frame of the model gets complete."""
        first, last = self.complete(self.now), self.complete(self.now + frames)
        return torch.arange(first, last, device=device) * self.down // self.up - self.now


class ToModel(nn.Module):
    """Converts the host's blocks to the model's rate, and holds samples back to whole hops. `(B, 1, T) -> (B, 1, k * hop)`.

    T is a multiple of `frame`. Where a frame is less than a hop of the model, `hop - 1` zeros come before the first sample:
    then the model's output never falls behind its input.
    """

    cache: Tensor
    latent: Tensor

    def __init__(self, up: int, down: int, hop: int, frame: int, latent_size: int, batch_size: int):
        super().__init__()
        self.hop, self.frame = hop, frame
        self.held = self.first = 0 if frame * up == hop * down else hop - 1
        self.resample = Resample(up, down, batch_size)
        self.clock = FrameClock(frame * up, hop * down)
        self.register_buffer("cache", torch.zeros(batch_size, 1, hop), persistent=False)
        self.register_buffer("latent", torch.zeros(batch_size, latent_size, 1), persistent=False)  # the newest

    def forward(self, x: Tensor) -> Tensor:
        self.clock.advance(x.shape[2] // self.frame)
        x = torch.cat([self.cache[: x.shape[0], :, : self.held], self.resample(x)], 2)
        complete = x.shape[2] // self.hop * self.hop
        self.held = x.shape[2] - complete
        self.cache[: x.shape[0], :, : self.held].copy_(x[..., complete:])
        return x[..., :complete]

    def wanted(self, x: Tensor) -> Tensor:
        """Of a block of frames of the host, in place of its sound, those in which a frame of the model gets complete."""
        due = x.index_select(2, self.clock.due(x.shape[2], x.device))
        self.clock.advance(x.shape[2])
        return due

    def newest(self, p: Tensor, frames: int) -> Tensor:
        """The newest latent at the end of each frame of the last block, the former where none is new.

        `(B, latent_size, k) -> (B, latent_size, frames)`, with the latents of the block's k hops.
        """
        latents = torch.cat([self.latent[: p.shape[0]], p], 2)
        self.latent[: p.shape[0]].copy_(latents[..., -1:])
        return latents.index_select(2, p.shape[2] + self.clock.behind(frames, p.device))

    def reset(self) -> None:
        self.held, self.clock.now = self.first, 0
        self.cache.zero_()
        self.latent.zero_()
        self.resample.reset()


class ToHost(nn.Module):
    """Converts the model's blocks to the host's rate and block length. `(B, 1, k * hop), T -> (B, 1, T)`; see `ToModel`."""

    cache: Tensor

    def __init__(self, up: int, down: int, hop: int, frame: int, extra: int, batch_size: int):
        super().__init__()
        self.held, self.frame = 0, frame
        self.resample = Resample(up, down, batch_size, extra)
        self.clock = FrameClock(frame * down, hop * up)
        self.register_buffer("cache", torch.zeros(batch_size, 1, hop * up // down + 4), persistent=False)

    def forward(self, x: Tensor, length: int) -> Tensor:
        self.clock.advance(length // self.frame)
        held = self.cache[: x.shape[0], :, : self.held]
        y = torch.cat([held, self.resample(x)], 2) if x.shape[2] > 0 else held.clone()
        self.held = y.shape[2] - length
        self.cache[: x.shape[0], :, : self.held].copy_(y[..., length:])
        return y[..., :length].contiguous()

    def due(self, p: Tensor) -> Tensor:
        """Of the next block's latents those that `ToModel.newest` gave when they were new. `(B, n, T) -> (B, n, k)`."""
        return p.index_select(2, self.clock.due(p.shape[2], p.device))

    def reset(self) -> None:
        self.held = self.clock.now = 0
        self.cache.zero_()
        self.resample.reset()


class SameRate(nn.Module):
    """Takes the place of `ToModel` and `ToHost` where both rates are equal."""

    def forward(self, x: Tensor, length: int = 0) -> Tensor:
        return x

    def wanted(self, x: Tensor) -> Tensor:
        return x

    def newest(self, p: Tensor, frames: int) -> Tensor:
        return p

    def due(self, p: Tensor) -> Tensor:
        return p

    def reset(self) -> None:
        pass


def host_rate(model_rate: int, rate: int, *, hop: int, latency: int, latent_size: int,
              batch_size: int) -> tuple[SameRate | ToModel, SameRate | ToHost, int, int]:
    """Converters to the model and to the host, and the hop and latency of the model in samples of the host's `rate`.

    Where the model's hop is no power of two of the host's samples, the file's is the next smaller one: then a frame of the
    file completes one of the model's or none, with up to one model hop more latency. The latency is exact: the second
    filter is shifted to make it a whole number.
    """
    if rate == model_rate:
        return SameRate(), SameRate(), hop, latency
    common = math.gcd(model_rate, rate)
    up, down = model_rate // common, rate // common  # to the model; a step is 1 / (up * rate) s
    frame = 2 ** ((hop * down // up).bit_length() - 1)  # as block sizes of hosts are
    to_model = ToModel(up, down, hop, frame, latent_size, batch_size)
    steps = 2 * to_model.resample.delay + (to_model.held + latency) * down
    to_host = ToHost(down, up, hop, frame, -steps % up, batch_size)
    return to_model, to_host, frame, -(-steps // up)
