"""Noise sources, the network's only randomness, and the noise synthesiser built on them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.layers.activation import make_activation
from rave_lite.layers.conv import Conv1d
from rave_lite.layers.padding import CausalPad


class Noise(nn.Module):
    """Fresh unit-variance Gaussian noise times `amount`. `(B, *, T) -> (B, channels, T)`; `amount` 0 makes it silent.

    Drawn from torch's generator of the input's device: seed it with `torch.manual_seed`. The streaming form has its own
    seed and position.
    """

    amount: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.register_buffer("amount", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.amount * torch.randn([x.shape[0], self.channels, x.shape[2]], dtype=x.dtype, device=x.device)

    def streaming(self, batch_size: int) -> nn.Module:
        return SeededNoise(self.channels, self.amount)


class SeededNoise(nn.Module):
    """Gaussian noise that depends on seed, stream, channel and time only, not on the block size.

    Counter-based: a 32-bit hash of the position (constants of C. Wellons' "lowbias32", 2018), then the Box-Muller transform
    (1958). It shares no generator with the host, never waits for a device, and works in a CUDA graph.
    """

    amount: Tensor
    seed: Tensor
    position: Tensor

    def __init__(self, channels: int, amount: Tensor):
        super().__init__()
        self.channels = channels
        self.salt = 0  # differs between sources; `stream` numbers them
        self.register_buffer("amount", amount.clone(), persistent=False)
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64), persistent=False)
        self.register_buffer("position", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames = x.shape[0], x.shape[2]
        time = self.position + torch.arange(frames, device=x.device)
        rows = row_keys(self.seed, batch * self.channels, self.salt).view(batch, self.channels, 1)
        bits = hash32(rows + hash32(time))
        radius = torch.sqrt(-2 * torch.log(((bits >> 16).float() + 0.5) / 65536))
        angle = (bits & 65535).float() * (2 * math.pi / 65536)
        self.position.add_(frames)
        return self.amount * (radius * torch.cos(angle)).to(x.dtype)


def row_keys(seed: Tensor, rows: int, salt: int) -> Tensor:
    """The part of the hash that does not depend on time, `(rows,)`: a row is a channel of a stream of a source."""
    return hash32(hash32(seed) + torch.arange(rows, device=seed.device) + (salt << 20))


def hash32(x: Tensor) -> Tensor:
    """Hash the low 32 bits of int64 integers to [0, 2^32)."""
    x = multiplied(x)
    return x ^ (x >> 16)


def multiplied(x: Tensor) -> Tensor:
    """`hash32` before its last step."""
    x = x & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    return ((x ^ (x >> 15)) * (0x846CA68B - (1 << 32))) & 0xFFFFFFFF  # the constant modulo 2^32: products stay in 63 bits


def set_noise(module: nn.Module, amount: float) -> None:
    """Scale every noise source of `module`; 0 makes it deterministic."""
    for part in module.modules():
        if isinstance(part, Noise | SeededNoise):
            part.amount.fill_(amount)


def seed_noise(module: nn.Module, seed: int) -> None:
    """Seed every noise source of a streaming `module`, and restart it."""
    for part in module.modules():
        if isinstance(part, SeededNoise):
            part.seed.fill_(seed)
            part.position.zero_()


def modified_sigmoid(x: Tensor) -> Tensor:
    """An amplitude between 1e-7 and 2 (Engel et al., DDSP, 2020, eq. 5)."""
    return 2 * torch.sigmoid(x) ** 2.3 + 1e-7


class NoiseSynth(nn.Module):
    """Filtered noise for each band. `(B, C, T) -> (B, n_bands, T)`, T a multiple of `prod(ratios)`.

    Strided convolutions predict, once per `prod(ratios)` samples, the amplitude response of a filter at `filter_bands`
    frequencies; noise goes through that filter (Engel et al., DDSP, 2020, section 3.4), of twice the frame's length at most.
    `kernel_size`: of the strided convolutions, by default twice their ratio.
    `framewise`: as in the public release, frames are filtered separately, with the centred response cut to a frame, and
    the noise has the level of a uniform distribution between -1 and 1.
    """

    window: Tensor

    def __init__(self, in_channels: int, n_bands: int, *, ratios: list[int], hidden: int, filter_bands: int,
                 kernel_size: int | None = None, framewise: bool = False, activation: str = "leaky_relu",
                 alignment: str = "causal", delay: int = 0):
        super().__init__()
        self.n_bands = n_bands
        self.filter_bands = filter_bands
        self.frame = math.prod(ratios)
        self.framewise = framewise
        self.taps = 2 * (filter_bands - 1) if framewise else 2 * min(self.frame, filter_bands - 1)
        if kernel_size is None and alignment.startswith("release"):
            alignment = "causal"  # as there
        layers: list[nn.Module] = []
        channels = [in_channels, *[hidden] * (len(ratios) - 1), n_bands * filter_bands]
        for i, ratio in enumerate(ratios):
            conv = Conv1d(channels[i], channels[i + 1], kernel_size or 2 * ratio, stride=ratio, norm=False,
                          activation=activation, alignment=alignment, delay=delay)
            layers += [conv, make_activation(activation, channels[i + 1])]
            delay = conv.delay
        self.net = nn.Sequential(*layers[:-1])
        self.noise = Noise(n_bands)
        self.past = CausalPad(n_bands, 0 if framewise else self.taps - 1)
        self.delay = delay * self.frame
        self.register_buffer("window", torch.hann_window(self.taps), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        amplitude = modified_sigmoid(self.net(x) - 5)
        amplitude = amplitude.unflatten(1, (self.n_bands, self.filter_bands)).transpose(2, 3)  # (B, band, frame, bin)
        response = self.impulse_response(amplitude.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype) * self.window
        if self.framewise:
            return self._filter_each_frame(response, self.noise(x))
        noise = self.past(self.noise(x)).unfold(2, self.taps - 1 + self.frame, self.frame)  # (B, band, frame, time)
        filtered = (noise.unfold(3, self.taps, 1) * response.unsqueeze(3)).sum(4)  # (B, band, frame, time)
        return filtered.flatten(2)

    def impulse_response(self, amplitude: Tensor) -> Tensor:
        """The filter of an amplitude response, before its window, `(..., filter_bands) -> (..., taps)`; linear."""
        return torch.roll(torch.fft.irfft(amplitude), self.taps // 2, -1)[..., : self.taps]

    def _filter_each_frame(self, response: Tensor, noise: Tensor) -> Tensor:
        """Filter noise `(B, band, T)` with `(B, band, frame, taps)`, cut to a frame; frames do not overlap."""
        frames = F.pad(noise.unflatten(2, (-1, self.frame)) / 3**0.5, (self.frame - 1, 0)).unfold(3, self.frame, 1)
        return (frames * self.frame_kernel(response).unsqueeze(3)).sum(4).flatten(2)

    def frame_kernel(self, response: Tensor) -> Tensor:
        """The taps within a frame, the oldest first, `(..., taps) -> (..., frame)`; linear."""
        kernel = F.pad(response, (0, max(0, self.frame - self.taps)))[..., : self.frame]
        return torch.roll(kernel, -(self.taps // 2), -1).flip(-1)
