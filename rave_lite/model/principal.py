"""Principal directions of the latent: the first one changes the sound most."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST = 1e-4  # variance of a latent beside the others, which does not change at all where all recordings are in the middle


class Principal(nn.Module):
    """Rotation of the latent onto its principal directions, exact both ways. `(B, size, T) -> (B, size, T)`.

    `beside`: of so many latents more, which come before the others, each is a direction of its own, whose mean is 0.
    `variance`: along each direction, descending but for these. Before `fit` it is the identity with unit variances.
    `measured`: whether `fit` has set it, rather than an import. The buffers are saved in checkpoints.
    """

    mean: Tensor
    directions: Tensor
    variance: Tensor
    measured: Tensor

    def __init__(self, size: int, *, beside: int = 0):
        super().__init__()
        self.beside, size = beside, size + beside
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("directions", torch.eye(size))  # a row each
        self.register_buffer("variance", torch.ones(size))
        self.register_buffer("measured", torch.tensor(False))

    def forward(self, z: Tensor) -> Tensor:
        return F.linear(z.transpose(1, 2) - self.mean, self.directions).transpose(1, 2)

    def inverse(self, p: Tensor) -> Tensor:
        """Back to the latent. `p` may hold only the first directions; the others stay at their mean."""
        return (p.transpose(1, 2) @ self.directions[: p.shape[1]] + self.mean).transpose(1, 2)

    @torch.jit.unused
    def fit(self, frames: Tensor, loudness: Tensor) -> None:
        """Fit to latents `(N, size)` and the level of the sound at each, `(N,)`, N at least 2.

        Signs are chosen so that level rises along every direction; where it does not depend on it, so that the largest
        component is positive. Latents that are not finite change nothing.
        """
        if not frames.isfinite().all():  # from a diverged model
            return
        frames, loudness = frames.cpu().double(), loudness.cpu().double()  # Apple's GPU has no float64
        centred = frames - frames.mean(0)
        covariance, n = centred.T @ centred / (len(frames) - 1), self.beside
        variance, vectors = torch.linalg.eigh(covariance[n:, n:])
        directions = vectors.flip(1).T
        centred = centred[:, n:]
        slope = directions @ centred.T @ (loudness - loudness.mean())
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True)).squeeze(1)
        signs = torch.where(slope == 0, largest, slope).sign()
        self.mean[n:] = frames.mean(0)[n:]
        self.directions[n:, n:] = directions * signs[:, None]
        self.variance[:n] = covariance.diagonal()[:n].clamp_min(LEAST)
        self.variance[n:] = variance.flip(0).clamp_min(0)
        self.measured.fill_(True)

    @torch.jit.unused
    def spread(self) -> Tensor:
        """`(size,)`: the standard deviation of each latent dimension, before the rotation."""
        return (self.directions.square() * self.variance[:, None]).sum(0).sqrt()

    @torch.jit.unused
    def shares(self) -> Tensor:
        """`(size,)`: the share of the variance that each direction carries, descending."""
        return self.variance / self.variance.sum()

    @torch.jit.unused
    def carried(self, count: int) -> float:
        """The share of the variance that the first `count` directions carry."""
        return float(self.shares()[:count].sum())
