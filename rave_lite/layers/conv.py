"""Causal convolutions that state the delay of their output.

Each layer takes the delay at its input and states the delay at its output, both in frames of that side. `causal` layers
add no delay; a `centered` layer computes the same sum over the past, but counts it as a symmetric window whose output is
late by half its span. The other alignments are the two of the public release, measured from its impulse responses: its
strided windows end at or near the first sample of their frame.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv1d_input
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from rave_lite.layers.activation import SLOPES
from rave_lite.layers.padding import CausalPad

Layer = TypeVar("Layer", nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
REFERENCE_FAN_IN = 384  # fan-in at which a direction of `WeightNorm` starts as long as its weight
LONG = 16  # times as many frames as channels: see `LongConv`
ALIGNMENTS = ("causal", "centered", "release-causal", "release-centered")


class WeightNorm(nn.Module):
    """Weight normalisation whose first Adam steps move a layer's output equally far at any width.

    `weight = g * v / |v|` per index of the first dimension (Salimans and Kingma, 2016). Adam moves every element of `v` by
    about the learning rate, all in step with the input, so an output of `fan_in` terms moves by
    `lr * fan_in / |v|` of itself, which is why the rates of hidden layers must fall as 1 / fan_in (Yang et al., Tensor
    Programs V, arXiv 2203.03466, table 3). The length of `v` does not change the weight, so it carries that factor:
    `|v| = |weight| * fan_in / REFERENCE_FAN_IN`, whenever a weight is assigned. `folded`: the weight, while
    `fold_weight_norm` holds it.
    """

    folded: Tensor | None = None

    def __init__(self, fan_in: int):
        super().__init__()
        self.fan_in = fan_in

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return torch._weight_norm(v, g, 0) if self.folded is None else self.folded

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return torch.norm_except_dim(weight, 2, 0), weight * (self.fan_in / REFERENCE_FAN_IN)


def weight_norm(layer: Layer, fan_in: int | None = None) -> Layer:
    """Add `WeightNorm` to `layer`; `fan_in`: terms of an output, by default all weights of a row."""
    register_parametrization(layer, "weight", WeightNorm(fan_in or layer.weight[0].numel()))
    return layer


@contextmanager
def fold_weight_norm(networks: Iterable[nn.Module], dtype: torch.dtype | None = None) -> Iterator[None]:
    """Computes the normalised weights of `networks` once for the `with` block, in `dtype` if given.

    Rows of one length are normalised together, whatever their layers: half the operations.
    """
    groups: dict[int, list[Any]] = {}
    layers: list[Any] = [layer for network in networks for layer in network.modules()]
    for layer in layers:
        weight: Any = layer.parametrizations.weight if is_parametrized(layer, "weight") else [None]
        if isinstance(weight[0], WeightNorm):
            groups.setdefault(weight.original1[0].numel(), []).append(weight)
    weights = [w for group in groups.values() for w in group]
    if weights:
        counts = [sum(len(w.original1) for w in group) for group in groups.values()]
        gains = torch.cat([w.original0.flatten(1) for w in weights]).split(counts)
        for group, g in zip(groups.values(), gains, strict=True):
            rows = [w.original1.flatten(1) for w in group]
            folded = torch._weight_norm(torch.cat(rows) if len(rows) > 1 else rows[0], g, 0).to(dtype or g.dtype)
            for w, part in zip(group, folded.split([len(r) for r in rows]), strict=True):
                w[0].folded = part.view_as(w.original1)
    try:
        yield
    finally:
        for w in weights:
            w[0].folded = None


def lookahead(alignment: str, span: int, stride: int) -> int:
    """Samples by which a window of `span` ends after its frame of `stride` samples; may be negative."""
    return {"causal": 0, "centered": (span - stride) // 2, "release-causal": 1 - stride,
            "release-centered": span // 2 + 1 - stride}[alignment]


class MatrixConv(nn.Module):
    """A convolution over the past as one product per block: `(B, in, T) -> (B, out, T / stride * ratio)`.

    `stream` replaces every convolution by it. `weight`: `(ratio * out, kernel * in)`, the oldest tap first; each row of
    the product is `ratio` output frames. Channels lie last in memory from layer to layer: at one stream and few frames
    this is several times faster on a CPU than the convolution kernels (docs/benchmarks.md), and it can be quantised.
    """

    def __init__(self, weight: Tensor, past: nn.Module, *, kernel_size: int, stride: int = 1, dilation: int = 1,
                 ratio: int = 1):
        super().__init__()
        self.past = past
        self.span = (kernel_size - 1) * dilation + 1
        self.stride, self.dilation, self.ratio = stride, dilation, ratio
        self.skipped = max(0, stride - self.span)
        self.product = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
        self.product.weight = nn.Parameter(weight.detach().contiguous(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        frames = self.past(x).transpose(1, 2)
        if self.span > 1:
            frames = frames[:, self.skipped :] if self.skipped > 0 else frames
            frames = frames.unfold(1, self.span, self.stride)[..., :: self.dilation].transpose(2, 3).flatten(2)
        y = self.product(frames)  # (B, T / stride, ratio * out)
        return y.reshape(y.shape[0], y.shape[1] * self.ratio, -1).transpose(1, 2)


class Conv1d(nn.Conv1d):
    """Convolution over the past, weight-normalised unless `norm` is false. `(B, in, T) -> (B, out, T / stride)`.

    T is a multiple of `stride`. A strided layer adds padding until its delay is a whole number of output frames.
    `skipped`: frames before each window, where the stride is longer. `activation`: the network's, of `SLOPES`, for the scale
    of the initial weights.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, dilation: int = 1,
                 groups: int = 1, norm: bool = True, activation: str = "leaky_relu", alignment: str = "causal",
                 delay: int = 0):
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, dilation=dilation, groups=groups, bias=False)
        span = (kernel_size - 1) * dilation + 1
        trailing = delay + lookahead(alignment, span, stride)
        alignment_pad = -trailing % stride
        self.skipped = max(0, stride - span)
        self.past = CausalPad(in_channels, span - stride + self.skipped + alignment_pad)
        self.delay = (trailing + alignment_pad) // stride
        nn.init.kaiming_normal_(self.weight, SLOPES[activation])
        if norm:
            weight_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        x, weight = self.past(x), self.weight
        x = x[..., self.skipped :] if self.skipped else x
        if x.is_cuda and self.stride == (1,) and self.groups == 1 and x.shape[2] >= LONG * max(weight.shape[:2]):
            return LongConv.apply(x, weight, self.dilation[0])  # type: ignore[no-any-return]
        return self._conv_forward(x, weight, self.bias)

    def streaming(self, batch_size: int) -> nn.Module:
        places = torch.eye(self.groups).repeat_interleave(self.out_channels // self.groups, 0)  # of each group's inputs
        weight = torch.einsum("og,oik->okgi", places.to(self.weight), self.weight)
        return MatrixConv(weight.flatten(1), self.past, kernel_size=self.kernel_size[0], stride=self.stride[0],
                          dilation=self.dilation[0])


class LongConv(torch.autograd.Function):
    """A convolution of many frames and few channels, whose weight gradient is a product for each tap.

    cuDNN's own kernels for that gradient take a third of a step of v2 in bfloat16.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        x, weight = x.to(dtype), weight.to(dtype)
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return F.conv1d(x, weight, dilation=dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            by_x = conv1d_input(x.shape, weight, gradient, dilation=ctx.dilation)
        if ctx.needs_input_grad[1]:
            taps = x.unfold(2, gradient.shape[2], ctx.dilation).unbind(2)  # the input of each, (B, in, T)
            by_weight = torch.stack([(gradient @ tap.transpose(1, 2)).sum(0) for tap in taps], 2)
        return by_x, by_weight, None


class ConvTranspose1d(nn.ConvTranspose1d):
    """Weight-normalised upsampling with kernel `2 * stride`. `(B, in, T) -> (B, out, T * stride)`.

    Each output block of `stride` samples sees the current input frame and the one before. `activation`: as of `Conv1d`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, activation: str = "leaky_relu",
                 alignment: str = "causal", delay: int = 0):
        super().__init__(in_channels, out_channels, 2 * stride, stride=stride, bias=False)
        self.ratio = stride
        self.past = CausalPad(in_channels, 1)
        self.delay = delay * stride + (0 if alignment == "causal" else stride // 2)
        std = (1 / in_channels / (1 + SLOPES[activation] ** 2)) ** 0.5  # He: two taps reach each output
        nn.init.normal_(self.weight, std=std)
        weight_norm(self, 2 * in_channels)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        x = self.past(x)
        if x.device.type == "cpu":  # oneDNN's kernel: half the product's time, with AVX-512 or few channels
            return F.conv_transpose1d(x, self.weight, stride=self.ratio, padding=self.ratio)
        taps = self.weight.unflatten(2, (2, self.ratio)).permute(0, 2, 3, 1).flatten(1)
        y = (x.transpose(1, 2) @ taps).unflatten(2, (2, -1))
        y = y[:, 1:, 0] + y[:, :-1, 1]  # (B, T, stride * out): terms of the current frame and of the one before
        return y.unflatten(2, (self.ratio, -1)).flatten(1, 2).transpose(1, 2)

    def streaming(self, batch_size: int) -> nn.Module:
        taps = self.weight.unflatten(2, (2, self.ratio)).permute(3, 1, 2, 0).flip(2)  # (stride, out, older first, in)
        return MatrixConv(taps.flatten(0, 1).flatten(1), self.past, kernel_size=2, ratio=self.ratio)
