"""Activations of the network: leaky ReLU, or Snake, whose frequencies are learned."""

from typing import Any

import torch
from torch import Tensor, nn

LEAK = 0.2  # slope of leaky ReLU below zero
# The slope below zero of the leaky ReLU that lets as much power of unit Gaussian noise through, for He's initialisation
SLOPES = {"leaky_relu": LEAK, "snake": 1.27, "snake_between": 1.27}


class Snake(nn.Module):
    """`x + sin(alpha x)^2 / alpha`, `alpha = exp(log_alpha)` of each channel, 1 at first. `(B, C, T) -> (B, C, T)`.

    Ziyin, Hartwig and Ueda, Neural Networks Fail to Learn Periodic Functions (arXiv 2006.08195); with logarithms as in
    BigVGAN (arXiv 2206.04658).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.log_alpha = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_scripting():
            alpha = self.log_alpha.exp()[:, None]
            return x + torch.sin(alpha * x).square() / alpha
        return SnakeFunction.apply(x, self.log_alpha)  # type: ignore[no-any-return]


class SnakeFunction(torch.autograd.Function):
    """Snake in the parameter's precision, float32 in training, also of `x` in bfloat16.

    It keeps its input and its output alone; autograd would keep five tensors.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_alpha: Tensor) -> Tensor:
        alpha = log_alpha.exp()[:, None]
        y = (x * alpha).sin_()
        y = torch.addcmul(x, y.mul_(y), alpha.reciprocal(), out=y).to(x.dtype)
        ctx.save_for_backward(x, y, alpha)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, y, alpha = ctx.saved_tensors
        by_x = (x * (2 * alpha)).sin_()
        by_x = torch.addcmul(gradient, gradient, by_x, out=by_x)
        by_log_alpha = (by_x * x).addcmul_(gradient, y, value=-1).sum((0, 2))
        return by_x.to(x.dtype), by_log_alpha


def make_activation(kind: str, channels: int, *, inplace: bool = True) -> nn.Module:
    """One of `SLOPES`, for `(B, channels, T)`. Leaky ReLU works in place by default: nothing else may need its input."""
    return Snake(channels) if kind.startswith("snake") else nn.LeakyReLU(LEAK, inplace=inplace)
