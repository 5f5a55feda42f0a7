"""Quantises what a prior draws, where the latent is discrete."""

import copy

import torch
from torch import Tensor, nn

from rave_lite.model import RAVE
from rave_lite.model.discrete import Discrete


class NearestCodes(nn.Module):
    """Replaces latents by those of the nearest codes, as the encoder does; the image stays. Scriptable.

    Principal directions, `(B, size) -> (B, size)`.
    """

    mean: Tensor
    directions: Tensor

    def __init__(self, model: RAVE, latent: Discrete):
        super().__init__()
        self.latent, self.image_size = copy.deepcopy(latent).requires_grad_(False), model.image_size
        self.latent.noise = nn.Identity()  # type: ignore[assignment]
        self.register_buffer("mean", model.principal.mean.clone(), persistent=False)
        self.register_buffer("directions", model.principal.directions.clone(), persistent=False)

    def forward(self, p: Tensor) -> Tensor:
        z = p @ self.directions + self.mean
        codes = self.latent.codes(z[:, self.image_size :].unsqueeze(2))
        quantised = torch.cat([z[:, : self.image_size], self.latent.from_codes(codes).squeeze(2)], 1)
        return (quantised - self.mean) @ self.directions.t()


def nearest_codes(model: RAVE) -> nn.Module:
    """`NearestCodes` of a model with `latent=discrete`; for any other model the identity."""
    return NearestCodes(model, model.latent) if isinstance(model.latent, Discrete) else nn.Identity()
