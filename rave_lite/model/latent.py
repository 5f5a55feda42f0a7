"""Latent bottlenecks and their regularisers."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.layers import Noise


class Wasserstein(nn.Module):
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

    @torch.jit.unused
    def sample(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, size, T)` to latent and penalty, the squared MMD over all frames."""
        frames = h.transpose(1, 2).flatten(0, 1)
        return h, mmd(frames, torch.randn_like(frames), self.kernel)

    def mean(self, h: Tensor) -> Tensor:
        return h

    def widen(self, z: Tensor) -> Tensor:
        """`(B, size, T) -> (B, size + noise_channels, T)`, the decoder's input."""
        return torch.cat([z, self.noise(z)], 1)


class Variational(nn.Module):
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
    def sample(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, 2 * size, T)` to a draw `(B, size, T)` and penalty: KL in nats, summed over dimensions, mean over frames."""
        mean, scale = h.chunk(2, 1)
        std = F.softplus(scale + self.shift) + 1e-4
        kl = 0.5 * (mean**2 + std**2 - 2 * torch.log(std) - 1)
        return mean + std * self.noise(mean), kl.sum(1).mean()

    def mean(self, h: Tensor) -> Tensor:
        return h.chunk(2, 1)[0]

    def widen(self, z: Tensor) -> Tensor:
        return z


class Spherical(nn.Module):
    """Latents on the unit sphere in `size` dimensions, without penalty; for imported runs of the public release."""

    may_idle = False

    def __init__(self, *, size: int = 16):
        super().__init__()
        self.size = self.encoder_channels = self.decoder_channels = size

    @torch.jit.unused
    def sample(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, size, T)` to latent and penalty, none."""
        return self.mean(h), h.new_zeros(())

    def mean(self, h: Tensor) -> Tensor:
        return F.normalize(h, dim=1)

    def widen(self, z: Tensor) -> Tensor:
        return z


LATENTS = {"wasserstein": Wasserstein, "variational": Variational, "spherical": Spherical}


def mmd(x: Tensor, y: Tensor, kernel: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Unbiased squared maximum mean discrepancy of samples `(N, D)` and `(M, D)` of at least two points each.

    Gretton et al., A Kernel Two-Sample Test, JMLR 2012, eq. 3. `kernel`: of squared distances and D.
    """
    xx, yy, xy = (kernel(squared_distances(a, b), x.shape[1]) for a, b in ((x, x), (y, y), (x, y)))
    within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (xx, yy)]
    return within[0] + within[1] - 2 * xy.mean()


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """`(N, D), (M, D) -> (N, M)`, through the Gram matrix: no `(N, M, D)` tensor."""
    return ((x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T).clamp_min(0)


def gaussian(squared: Tensor, size: int) -> Tensor:
    """`exp(-d^2 / size^2)`: the public release's kernel, nearly flat at size 16."""
    return torch.exp(-squared / size**2)


def imq(squared: Tensor, size: float) -> Tensor:
    """Inverse multiquadratic kernel, mean over seven scales (Tolstikhin et al., 2018, section 4); in (0, 1]."""
    scales = [2 * size * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    return torch.stack([c / (c + squared) for c in scales]).mean(0)


KERNELS = {"imq": imq, "gaussian": gaussian}
