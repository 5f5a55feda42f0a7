"""Latent bottlenecks and their regularisers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.layers import Noise

MAX_FRAMES = 512  # of a batch in the MMD, whose memory grows with their square: as many as v2 has in 8 windows of 131072

class Latent(nn.Module, ABC):
    """A bottleneck: the encoder's output h to the decoder's input, and the regulariser's penalty in training."""

    @torch.jit.unused
    def sample(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Latents `(B, size, T)` as drawn in training, and penalty `()`."""
        return self.draw(h), self.penalty(h)

    @abstractmethod
    def draw(self, h: Tensor) -> Tensor:
        """The encoder's output to latents `(B, size, T)`, drawn where they are random."""

    @abstractmethod
    def penalty(self, h: Tensor) -> Tensor:
        """The encoder's output to how far its latents are from their target distribution, `()`."""


class Wasserstein(Latent):
    """The encoder's output is the latent; its distribution is pulled to N(0, I) by maximum mean discrepancy.

    `size`: latent dimensions; `noise_channels`: channels of fresh noise that the decoder receives beside them; `kernel`:
    a name in `KERNELS`. Tolstikhin et al., Wasserstein Auto-Encoders, ICLR 2018.
    """

    may_idle = False

    def __init__(self, *, size: int = 16, noise_channels: int = 128, kernel: str = "imq"):
        super().__init__()
        self.size = size
        self.encoder_channels = size
        self.decoder_channels = size + noise_channels
        self.kernel = KERNELS[kernel]
        self.noise = Noise(noise_channels)

    def draw(self, h: Tensor) -> Tensor:
        return h

    def mean(self, h: Tensor) -> Tensor:
        return h

    @torch.jit.unused
    def penalty(self, h: Tensor) -> Tensor:
        """`(B, size, T)` to the squared MMD over at most `MAX_FRAMES` frames, evenly spaced."""
        frames = h.transpose(1, 2).flatten(0, 1)
        every = math.ceil(len(frames) / MAX_FRAMES)
        frames = frames[every // 2 :: every]
        return mmd(frames, torch.randn_like(frames), self.kernel)

    def widen(self, z: Tensor) -> Tensor:
        """`(B, size, T) -> (B, size + noise_channels, T)`, the decoder's input."""
        return torch.cat([z, self.noise(z)], 1)


class Variational(Latent):
    """Diagonal Gaussian posterior, scale `softplus(h + shift) + 1e-4`, pulled to N(0, I) by KL divergence.

    `shift`: a buffer, 0 until a model is calibrated. Without biases, silence gives h = 0 and, without shift, a scale of
    0.69: noise that hides quiet sounds from the decoder.
    """

    may_idle = True  # the divergence switches off the dimensions that are not needed
    shift: Tensor

    def __init__(self, *, size: int = 128):
        super().__init__()
        self.size = size
        self.encoder_channels = 2 * size
        self.decoder_channels = size
        self.noise = Noise(size)
        self.register_buffer("shift", torch.tensor(0.0))

    @torch.jit.unused
    def draw(self, h: Tensor) -> Tensor:
        """`(B, 2 * size, T)` to a draw `(B, size, T)`."""
        mean, std = self.posterior(h)
        return mean + std * self.noise(mean)

    def mean(self, h: Tensor) -> Tensor:
        return h.chunk(2, 1)[0]

    @torch.jit.unused
    def penalty(self, h: Tensor) -> Tensor:
        """`(B, 2 * size, T)` to the KL divergence in nats, summed over dimensions, mean over frames."""
        mean, std = self.posterior(h)
        return (0.5 * (mean**2 + std**2 - 2 * torch.log(std) - 1)).sum(1).mean()

    @torch.jit.unused
    def posterior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, both `(B, size, T)`."""
        mean, scale = h.chunk(2, 1)
        return mean, F.softplus(scale + self.shift) + 1e-4

    def widen(self, z: Tensor) -> Tensor:
        return z


class Spherical(Latent):
    """Latents on the unit sphere in `size` dimensions, without penalty; for imported runs of the public release."""

    may_idle = False

    def __init__(self, *, size: int = 16):
        super().__init__()
        self.size = self.encoder_channels = self.decoder_channels = size

    def draw(self, h: Tensor) -> Tensor:
        return self.mean(h)

    def mean(self, h: Tensor) -> Tensor:
        return F.normalize(h, dim=1)

    @torch.jit.unused
    def penalty(self, h: Tensor) -> Tensor:
        return h.new_zeros(())

    def widen(self, z: Tensor) -> Tensor:
        return z


def mmd(x: Tensor, y: Tensor, kernel: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Unbiased squared maximum mean discrepancy of samples `(N, D)` and `(M, D)` of at least two points each.

    Gretton et al., A Kernel Two-Sample Test, JMLR 2012, eq. 3. `kernel`: of squared distances and D.
    """
    n = len(x)
    both = torch.cat([x, y])
    k = kernel(squared_distances(both, both), x.shape[1])
    within = [(block.sum() - block.diagonal().sum()) / (len(block) * (len(block) - 1)) for block in (k[:n, :n], k[n:, n:])]
    return within[0] + within[1] - 2 * k[:n, n:].mean()


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """`(N, D), (M, D) -> (N, M)`, through the Gram matrix: no `(N, M, D)` tensor."""
    return ((x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T).clamp_min(0)


def gaussian(squared: Tensor, size: int) -> Tensor:
    """`exp(-d^2 / size^2)`: the public release's kernel, nearly flat at size 16."""
    return torch.exp(-squared / size**2)


def energy(squared: Tensor, size: int) -> Tensor:
    """`-d / sqrt(size)`, of the energy distance (Székely and Rizzo, 2013): the pull is the same at any distance."""
    return -torch.sqrt(squared + 1e-6) / size**0.5


def imq(squared: Tensor, size: float) -> Tensor:
    """Inverse multiquadratic kernel, mean over seven scales (Tolstikhin et al., 2018, section 4); in (0, 1]."""
    total: Tensor = InverseMultiquadratics.apply(squared, [2 * size * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)])
    return total


class InverseMultiquadratics(torch.autograd.Function):
    """Mean of `c / (c + x)` over the scales c, all in each operation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: list[float]) -> Tensor:
        terms = torch._foreach_add([x] * len(scales), scales)
        torch._foreach_reciprocal_(terms)
        weights = [c / len(scales) for c in scales]
        total = torch.stack(torch._foreach_mul(terms, weights)).sum(0)
        if ctx.needs_input_grad[0]:
            torch._foreach_mul_(terms, terms)
            ctx.slope = torch.stack(torch._foreach_mul(terms, weights)).sum(0)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -gradient * ctx.slope, None


KERNELS = {"energy": energy, "imq": imq, "gaussian": gaussian}
