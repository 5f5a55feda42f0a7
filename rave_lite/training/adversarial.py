"""Adversarial and feature-matching losses."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rave_lite.errors import InputError

KINDS = ("hinge", "least_squares")


class Adversarial:
    """Adversarial losses of discriminator scores, summed over the discriminators; a score says real above 0.

    `hinge` (Lim and Ye, 2017), or `least_squares`: targets 1 for real, -1 for generated, and 1 for the generator (Mao et
    al., LSGAN, 2017, eq. 2). By chance, at scores of 0, the discriminator's loss is 2 for each, and the slope of the
    generator's is -1, with either. Raises InputError for another kind.
    """

    def __init__(self, kind: str):
        if kind not in KINDS:
            raise InputError(f"{kind!r} is none of {', '.join(KINDS)}", where="training.adversarial")
        self.kind = kind

    def discriminator(self, scores: list[Tensor]) -> Tensor:
        """Scores `(2 * B, *)`: real items first."""
        both = [score.reshape(2, -1) for score in scores]
        real, fake = torch.cat(both, 1).float().unbind()
        missing = torch.stack([1 - real, 1 + fake])
        losses = F.relu(missing) if self.kind == "hinge" else missing**2
        return 2 * torch.stack([loss.mean() for loss in losses.split([x.shape[1] for x in both], 1)]).sum()

    def generator(self, fake: list[Tensor]) -> Tensor:
        """Scores `(B, *)` of generated items."""
        if self.kind == "hinge":
            return -torch.stack([mean(score) for score in fake]).sum()
        return torch.stack([mean((1 - score.float()) ** 2) for score in fake]).sum() / 2


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """L1 between features relative to the real ones' size (Kumar et al., MelGAN, 2019); mean over layers and discriminators.

    Only the fake features get a gradient; the real ones are overwritten, which saves their memory.
    """
    matched_real, matched_fake = ([feature for stack in stacks for feature in stack] for stacks in (real, fake))
    ratios: Tensor = RelativeL1.apply(*matched_real, *matched_fake)
    return ratios.mean()


class RelativeL1(torch.autograd.Function):
    """`|a - b| / |a|` of each pair, L1 norms: references a, then outputs b, to `(pairs,)`. Overwrites the references."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        a, b = list(tensors[: len(tensors) // 2]), list(tensors[len(tensors) // 2 :])
        precise = torch.promote_types(a[0].dtype, torch.float32)
        ctx.levels = torch._foreach_norm(a, 1, precise)
        torch._foreach_clamp_min_(ctx.levels, [1e-5 * x.numel() for x in a])
        torch._foreach_sub_(a, b)
        ctx.errors = a
        return torch.stack(torch._foreach_div(torch._foreach_norm(a, 1, precise), ctx.levels))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradients = torch._foreach_sign(ctx.errors)
        torch._foreach_mul_(gradients, torch._foreach_div(list((-gradient).unbind()), ctx.levels))
        return (*[None] * len(gradients), *gradients)


def mean(x: Tensor) -> Tensor:
    """Mean, accumulated in float32 at least: scores may be in half precision."""
    return x.mean(dtype=torch.promote_types(x.dtype, torch.float32))
