"""Latents between the codes of a discrete latent, as codes."""

import copy

import torch
from torch import Tensor, nn

from rave_lite.model import RAVE
from rave_lite.model.discrete import Discrete


class NearestCodes(nn.Module):
    """Principal directions `(B, size)` to those of the codes that say them best; the image stays as it is. Scriptable."""

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
        spoken = torch.cat([z[:, : self.image_size], self.latent.from_codes(codes).squeeze(2)], 1)
        return (spoken - self.mean) @ self.directions.t()


def nearest_codes(model: RAVE) -> nn.Module:
    """`NearestCodes` of a model with `latent=discrete`, of any other what changes nothing."""
    return NearestCodes(model, model.latent) if isinstance(model.latent, Discrete) else nn.Identity()
