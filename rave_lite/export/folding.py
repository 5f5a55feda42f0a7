"""Folds what is linear next to the products of a streaming model into them."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.layers import MatrixConv, ResidualUnit, Snake
from rave_lite.model.discrete import Discrete
from rave_lite.model.encoder import StridedStage


def fold(rave: Any) -> None:
    """Fold into the products of a streaming model what is linear next to them.

    The mean of two channels, the rotation onto principal directions, the bands' gains and limit, Snake's division by alpha,
    the scale of a batch normalisation, the release's signs.
    """
    for conv, norm in normalised_products(rave):
        conv.product.weight *= scale(norm).unsqueeze(1)
    for activation, conv in activated_products(rave):
        if isinstance(activation, Snake):
            conv.product.weight /= activation.log_alpha.exp().repeat(conv.product.in_features // len(activation.log_alpha))
    first, last, waveform = rave.encoder.first, rave.encoder.last, rave.decoder.waveform
    if rave.image_size:  # reads both channels, of which the network has the mean
        both = (first.product.weight / 2).unflatten(1, (first.span, -1)).repeat(1, 1, 2).flatten(1)
        first.product.weight, first.product.in_features = nn.Parameter(both, requires_grad=False), both.shape[1]
    turned = torch.eye(rave.latent.size) if isinstance(rave.latent, Discrete) else rotation(rave)[1]
    rotated = turned @ last.product.weight[: rave.latent.size]
    last.product.weight, last.product.out_features = nn.Parameter(rotated, requires_grad=False), rave.latent.size
    waveform.product.weight[: len(rave.decoder.band_gain)] *= rave.decoder.band_gain / rave.decoder.limit
    bank = rave.pqmf
    bank.synthesis.product.weight *= rave.decoder.limit
    if bank.alternate:  # the signs of even and odd frames: a product gives two frames
        first, second = bank.signs[..., 0].float(), bank.signs[..., 1].float()
        weight, kernel = bank.analysis.product.weight, bank.analysis.span
        pair = torch.cat([F.pad(first * weight, (0, bank.n_bands)), F.pad(second * weight, (bank.n_bands, 0))])
        bank.analysis = MatrixConv(pair, bank.analysis.past, kernel_size=kernel + 1, stride=2, ratio=2)
        weight, kernel = bank.synthesis.product.weight, bank.synthesis.span
        signs = torch.cat([(first, second)[(i + 1 - kernel) % 2] for i in range(kernel + 1)]).T
        pair = torch.cat([F.pad(weight, (0, bank.n_bands)), F.pad(weight, (bank.n_bands, 0))]) * signs
        bank.synthesis = MatrixConv(pair, bank.synthesis.past, kernel_size=kernel + 1, stride=2, ratio=2 * bank.n_bands)


def rotation(rave: Any) -> tuple[Tensor, Tensor]:
    """Mean and principal directions of the network's latents, those of a stereo model's image left out."""
    n, principal = rave.image_size, rave.principal
    return principal.mean[n:].clone(), principal.directions[n:, n:].clone()


def normalised_products(rave: Any) -> Iterator[tuple[Any, nn.BatchNorm1d]]:
    """The products before batch normalisations, and these."""
    before = [rave.encoder.first, *(stage.down for stage in rave.encoder.stages)]
    for conv, stage in zip(before, rave.encoder.stages, strict=False):
        if isinstance(stage, StridedStage):
            yield conv, stage.normalise


def scale(norm: Any) -> Tensor:
    """What a batch normalisation multiplies its input by, `(channels,)`."""
    scales: Tensor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scales


def shift(norm: Any) -> Tensor:
    """What it adds, `(channels,)`."""
    shifts: Tensor = norm.bias - norm.running_mean * scale(norm)
    return shifts


def activated_products(rave: Any) -> Iterator[tuple[nn.Module, Any]]:
    """The activations, each with the product that follows it."""
    units: list[Any] = [part for part in rave.modules() if isinstance(part, ResidualUnit)]
    for unit in units:
        yield from zip(unit.branch[::2], unit.branch[1::2], strict=True)
    yield from ((stage.activation, stage.down) for stage in rave.encoder.stages)
    yield from ((stage.activation, stage.up) for stage in rave.decoder.stages)
    yield rave.encoder.activation, rave.encoder.last
    yield rave.decoder.activation, rave.decoder.waveform
    if rave.decoder.noise is not None:
        net = [rave.decoder.activation, *rave.decoder.noise.net]
        yield from zip(net[::2], net[1::2], strict=True)
