"""The prior of a discrete latent: it draws codes."""

from typing import Any

import torch
from torch import Tensor

from rave_lite.model import RAVE
from rave_lite.prior.network import FLOOR, Prior, chance, choose

PSEUDO = 0.5  # frames that each entry counts beside its own


class CodePrior(Prior):
    """A prior whose frames are codes. It says how likely each entry of each codebook is, given those before.

    It reads what `Prior` reads, and its mixture is of the same Gaussians. A component's probability of an entry is the
    entry's share of the training frames times the Gaussian of the latents that it leads to: as wide as the component, and
    as what the later codebooks add. So entries that are near each other share what is learned of either.

    `codebooks`, `entries`: of the latent; all else as of `Prior`.
    """

    log_shares: Tensor
    points: Tensor
    latents: Tensor
    rest: Tensor
    spread: Tensor

    def __init__(self, *, codebooks: int, entries: int, **shape: Any):
        super().__init__(**shape)
        self.config |= {"codebooks": codebooks, "entries": entries}
        self.codebooks = self.noises = codebooks
        n = self.directions
        shapes = {"log_shares": (codebooks, entries),
                  "points": (codebooks, entries, n), "latents": (codebooks, entries, self.size),  # what an entry adds
                  "rest": (codebooks, n), "spread": (codebooks, n)}  # of what later codebooks add: mean, variance and floor
        for name, size in shapes.items():
            self.register_buffer(name, torch.zeros(size))

    def draw(self, mean: Tensor, scale: Tensor, noise: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
        """A frame of one component, entry after entry, and its principal directions; `temperature` sharpens each choice."""
        chances, centre = chance(noise), mean
        latents = self.latents.new_zeros([mean.shape[0], self.size])
        for q in range(self.codebooks):
            scores = self.scores(centre, scale, q) / temperature.clamp_min(1e-3)
            entry = choose(scores, chances[:, q : q + 1])
            centre = centre - self.points[q][entry]
            latents = latents + self.latents[q][entry]
        return mean - centre, latents

    def scores(self, centre: Tensor, scale: Tensor, q: int) -> Tensor:
        """Logits of codebook q's entries, `(..., entries)`; `centre` `(..., directions)`: of what is left to say."""
        precision = 1 / (scale.square() + self.spread[q])
        points = self.points[q].transpose(0, 1)
        near = ((centre - self.rest[q]) * precision) @ points - 0.5 * precision @ points.square()
        return near + self.log_shares[q]

    @torch.jit.unused
    def target(self, frames: Tensor, codes: Tensor | None) -> Tensor:
        """What the density is of: the codes."""
        assert codes is not None
        return codes

    @torch.jit.unused
    def density(self, target: Tensor, weight: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        """Log probability `(...)` of codes `(..., codebooks)` under the mixture."""
        total, centre = weight, mean
        for q in range(self.codebooks):
            scores = torch.log_softmax(self.scores(centre, scale, q), -1)
            entry = target[..., q]
            total = total + scores.gather(-1, entry[..., None, None].expand(*scores.shape[:-1], 1)).squeeze(-1)
            centre = centre - self.points[q][entry].unsqueeze(-2)
        return torch.logsumexp(total, -1)

    @torch.jit.unused
    @torch.no_grad()
    def measure_codes(self, model: RAVE, codes: Tensor) -> None:
        """Set what is not learned of entries, of the training set's codes `(N, codebooks)`; after `measure`."""
        tables = torch.bmm(model.latent.entries, model.latent.out)
        origin = model.principal(tables.new_zeros(1, self.size, 1)).squeeze(2)
        self.latents.copy_(model.principal(tables.transpose(1, 2)).transpose(1, 2) - origin)
        self.latents[0] += origin  # the mean, once
        at_zero = self.standardise(torch.zeros_like(origin))
        self.points.copy_(self.standardise(self.latents) - at_zero)
        self.points[0] += at_zero
        added = torch.stack([points[c] for points, c in zip(self.points, codes.T, strict=True)])
        rest = added.flip(0).cumsum(0).flip(0) - added
        self.rest.copy_(rest.mean(1))
        self.spread.copy_(rest.var(1, correction=0) + FLOOR**2)
        counts = torch.stack([c.bincount(minlength=self.log_shares.shape[1]) for c in codes.T]) + PSEUDO
        self.log_shares.copy_((counts / counts.sum(1, keepdim=True)).log())
