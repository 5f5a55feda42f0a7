"""The memory of a block: every layer reads its input, and writes its output, where one buffer has a place for them.

A layer that pads, convolves and remembers by itself copies its input twice. Here the product of a layer is written behind
the past frames of the next layer's input; at the end of the block the last frames of all inputs move to a cache in one
operation, and back at the start of the next. What a place looks like is planned once for a length of block and a number
of streams: a steady block does nothing but arithmetic, with the same addresses each time.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn

from rave_lite.export.plan import Plan, Region, Step
from rave_lite.layers import MatrixConv, Snake, StreamingNorm
from rave_lite.layers.activation import LEAK


class Product(nn.Module):
    """A layer's arithmetic in two operations at most: its windows, after leaky ReLU, then a product written to its place.

    `windows`: `(T, B, kernel, C)`, of which `rows` is the matrix `(T * B, kernel * C)`; `source` is where they come from,
    overlapping. `target`: a matrix, or `(T, B, ratio, C)` where streams lie between the frames of a row.
    """

    leak: Final[float] = LEAK
    weight: Tensor
    bias: Tensor

    def __init__(self, conv: MatrixConv, step: Step):
        super().__init__()
        product = conv.product
        self.leaky, self.in_place, self.residual = step.leaky, in_place(step), step.skip is not None
        self.biased, self.quantized = step.bias is not None, not isinstance(product, nn.Linear)
        self.product = product if self.quantized else nn.Identity()
        self.register_buffer("weight", torch.empty(0) if self.quantized else product.weight.detach().t())
        bias = torch.empty(0) if step.bias is None else step.bias
        self.register_buffer("bias", bias if self.quantized else bias.to(product.weight.dtype))

    def forward(self, source: Tensor, windows: Tensor, rows: Tensor, skip: Tensor, target: Tensor) -> None:
        if self.leaky:
            torch._C._nn.leaky_relu(source, self.leak, out=windows)
        elif not self.in_place:
            windows.copy_(source)
        if self.quantized or target.dim() != 2:
            y = self.product(rows) if self.quantized else torch.mm(rows, self.weight)
            if self.residual:
                torch.add(skip, y, out=target)
            else:
                target.copy_((y + self.bias if self.biased else y).view(target.shape))
        elif self.residual:
            torch.addmm(skip, rows, self.weight, out=target)
        elif self.biased:
            torch.addmm(self.bias, rows, self.weight, out=target)
        else:
            torch.mm(rows, self.weight, out=target)


class ScaledSnake(nn.Module):
    """`alpha * snake(x)` of new frames, in three operations: the products that read it are divided by alpha, by `fold`."""

    alpha: Tensor

    def __init__(self, snake: Snake):
        super().__init__()
        self.register_buffer("alpha", snake.log_alpha.detach().exp())

    def forward(self, source: Tensor, windows: Tensor, rows: Tensor, skip: Tensor, target: Tensor) -> None:
        torch.mul(source, self.alpha, out=windows)
        torch.sin(rows, out=target)
        torch.addcmul(rows, target, target, out=target)


class NormInPlace(nn.Module):
    """A `StreamingNorm` of new frames, where they lie."""

    def __init__(self, norm: StreamingNorm):
        super().__init__()
        self.norm = norm

    def forward(self, source: Tensor, windows: Tensor, rows: Tensor, skip: Tensor, target: Tensor) -> None:
        if self.norm.active:
            x = source.squeeze(2)
            centre, factor, shift = self.norm.settings(x).unbind()
            torch.addcmul(shift, x - centre, factor, out=x)


LAYERS: dict[type, type] = {Snake: ScaledSnake, StreamingNorm: NormInPlace}  # but for products


def in_place(step: Step) -> bool:
    """Whether a layer reads its input where it lies, as nothing else needs it."""
    return isinstance(step.layer, StreamingNorm) or (
        isinstance(step.layer, MatrixConv) and step.layer.span == 1 and step.source.past == 0)


class Memory(nn.Module):
    """The regions of one dtype, in one buffer, and the cache of their past: `(batch_size, rows, width)`.

    In a region, frames follow each other, the streams of a frame side by side: `(past + T, B, C)`.
    """

    alignment: Final[int] = 64  # elements; a region starts at a multiple
    work: Tensor
    cache: Tensor
    channels: list[int]
    past: list[int]
    rates: list[int]
    offsets: list[int]

    def __init__(self, regions: list[Region], batch_size: int, dtype: torch.dtype):
        super().__init__()
        self.channels, self.past = [r.channels for r in regions], [r.past for r in regions]
        self.rates, self.offsets = [r.rate for r in regions], [0 for _ in regions]
        self.scratch = 0
        self.width = math.gcd(*(r.channels for r in regions if r.past)) or 1
        self.rows = sum(r.past * r.channels for r in regions) // self.width
        self.register_buffer("work", torch.empty(0, dtype=dtype), persistent=False)
        self.register_buffer("cache", torch.zeros(batch_size, self.rows, self.width, dtype=dtype), persistent=False)

    def lay_out(self, frames: int, streams: int, scratch: int, x: Tensor) -> list[Tensor]:
        """Place every region, then `scratch` elements. Returns the buffer, its rows and those of the cache, and the numbers
        of the rows that hold the past at the start of a block, and at its end."""
        device = self.cache.device
        fronts = [torch.zeros(streams, 0, dtype=torch.int64, device=device)]
        ends = [torch.zeros(streams, 0, dtype=torch.int64, device=device)]
        total, unit = 0, self.alignment * self.width
        for i, (channels, past, rate) in enumerate(zip(self.channels, self.past, self.rates)):  # noqa: B905  (TorchScript)
            self.offsets[i] = total
            if past > 0:
                pieces = channels // self.width  # rows of a frame
                row = (torch.arange(past, device=device) * streams * pieces).view(1, -1, 1)
                row = row + torch.arange(pieces, device=device) + total // self.width
                row = (row + (torch.arange(streams, device=device) * pieces).view(-1, 1, 1)).flatten(1)
                fronts.append(row)
                ends.append(row + rate * frames * streams * pieces)
            total += -(-(past + rate * frames) * streams * channels // unit) * unit
        self.scratch = total
        total += -(-scratch // unit) * unit
        if self.work.numel() < total or (self.work.is_inference() and not x.is_inference()):
            self.work = torch.empty(total, dtype=self.cache.dtype, device=device)
        return [self.work.view(-1), self.work[:total].view(-1, self.width), self.cache[:streams].view(-1, self.width),
                torch.cat(fronts, 1).flatten(), torch.cat(ends, 1).flatten()]


class Arena(nn.Module):
    """Runs a plan's layers, block by block. `B` streams, at most `batch_size`; `dtype`: of all regions that are not wide.

    A block: `start`, writes to `fresh` regions, `run` (all layers but the last), `finish` (the last layer).
    """

    max_layouts: Final[int] = 16  # hosts whose blocks vary have two or three
    views: dict[int, list[Tensor]]
    rates: list[int]

    def __init__(self, plan: Plan, batch_size: int, dtype: torch.dtype):
        super().__init__()
        narrow = dtype != torch.float32
        self.is_wide = [r.wide and narrow for r in plan.regions]
        wide, main = ([r for r, w in zip(plan.regions, self.is_wide, strict=True) if w is which] for which in (True, False))
        self.wide, self.main = Memory(wide, batch_size, torch.float32), Memory(main, batch_size, dtype)
        place = {id(region): i for part in (wide, main) for i, region in enumerate(part)}
        number = {id(region): i for i, region in enumerate(plan.regions)}
        self.place = [place[id(region)] for region in plan.regions]
        self.channels, self.past = [r.channels for r in plan.regions], [r.past for r in plan.regions]
        self.rates = [r.rate for r in plan.regions]
        self.taps = [(number[id(region)], delay) for region, delay in plan.taps]
        self.steps = [(number[id(s.source)], number[id(s.target)], number.get(id(s.skip), -1), s.skip_delay)
                      for s in plan.steps]
        self.shapes, self.reach = [s.shape for s in plan.steps], [s.reach for s in plan.steps]
        self.parts, self.in_place = [s.parts for s in plan.steps], [in_place(s) for s in plan.steps]
        self.first_tap = 10 + len(plan.regions)
        self.first_step = self.first_tap + len(self.taps)
        self.batch_size = batch_size
        self.views = {}
        *layers, self.last = [Product(s.layer, s) if isinstance(s.layer, MatrixConv) else LAYERS[type(s.layer)](s.layer)
                              for s in plan.steps]
        self.layers = nn.ModuleList(layers)

    def start(self, frames: int, streams: int, x: Tensor) -> list[Tensor]:
        """The views of a block of `frames` latent frames, the past in its place; `x`: any new tensor."""
        key = frames * (self.batch_size + 1) + streams
        if key not in self.views or self.is_stale(self.views[key][5], x):
            if len(self.views) >= self.max_layouts:
                self.views.clear()
            self.views[key] = self._lay_out(frames, streams, x)
        views = self.views[key]
        for i in (0, 5):
            if views[i + 3].numel() > 0:
                views[i + 1].index_copy_(0, views[i + 3], views[i + 2])
        return views

    def is_stale(self, work: Tensor, x: Tensor) -> bool:
        """Whether the memory has moved, as to another device, or was allocated in inference mode and `x` was not."""
        return not work.is_set_to(self.main.work) or (work.is_inference() and not x.is_inference())

    def fresh(self, views: list[Tensor], region: int) -> Tensor:
        """A region's new frames, `(T, B, C)`."""
        return views[10 + region]

    def tapped(self, views: list[Tensor], tap: int) -> Tensor:
        """As many frames as are new, late by the tap's delay, `(T, B, C)`."""
        return views[self.first_tap + tap]

    def run(self, views: list[Tensor]) -> None:
        for i, layer in enumerate(self.layers):
            at = self.first_step + 5 * i
            layer(views[at], views[at + 1], views[at + 2], views[at + 3], views[at + 4])

    def finish(self, views: list[Tensor]) -> None:
        self.last(views[-5], views[-4], views[-3], views[-2], views[-1])
        for i in (0, 5):
            if views[i + 3].numel() > 0:
                torch.index_select(views[i + 1], 0, views[i + 4], out=views[i + 2])

    def _lay_out(self, frames: int, streams: int, x: Tensor) -> list[Tensor]:
        scratch = 0
        for (source, _, _, _), (kernel, stride, _, _) in zip(self.steps, self.shapes):  # noqa: B905  (TorchScript)
            scratch = max(scratch, frames * self.rates[source] // stride * streams * kernel * self.channels[source])
        views = self.wide.lay_out(frames, streams, scratch, x) + self.main.lay_out(frames, streams, scratch, x)
        for i in range(len(self.channels)):
            views.append(self._frames(i, frames * self.rates[i], streams, 0))
        for region, delay in self.taps:
            views.append(self._frames(region, frames * self.rates[region], streams, delay))
        for i in range(len(self.steps)):
            (source, target, skip, skip_delay), (kernel, stride, dilation, ratio) = self.steps[i], self.shapes[i]
            steps, parts, frame = frames * self.rates[source] // stride, self.parts[i], streams * self.channels[source]
            rows, c, out = streams * parts, self.channels[source] // parts, self.channels[target] // parts
            start = self._start(source, streams) - self.reach[i] * frame
            views.append(self._view(source, [steps, rows, kernel, c], [stride * frame, c, dilation * frame, 1], start))
            if self.in_place[i]:
                views.append(views[-1])
                views.append(self._view(source, [steps * rows, c], [c, 1], start))
            else:
                memory = self.wide.work if self.is_wide[source] and self.is_wide[target] else self.main.work
                at = self.wide.scratch if self.is_wide[source] and self.is_wide[target] else self.main.scratch
                views.append(memory.as_strided([steps, rows, kernel, c], [kernel * frame, kernel * c, c, 1], at))
                views.append(memory.as_strided([steps * rows, kernel * c], [kernel * c, 1], at))
            start = self._start(target, streams)
            if rows == 1 or ratio == 1:
                written = self._view(target, [steps * rows, ratio * out], [ratio * out, 1], start)
            else:
                strides = [ratio * rows * out, out, rows * out, 1]
                written = self._view(target, [steps, rows, ratio, out], strides, start)
            views.append(self._view(skip, [steps * rows, out], [out, 1], self._start(skip, streams)
                                    - skip_delay * rows * out) if skip >= 0 else written)
            views.append(written)
        return views

    def _start(self, region: int, streams: int) -> int:
        """The offset of a region's first new frame."""
        offsets = self.wide.offsets if self.is_wide[region] else self.main.offsets
        return offsets[self.place[region]] + self.past[region] * streams * self.channels[region]

    def _frames(self, region: int, frames: int, streams: int, delay: int) -> Tensor:
        c = self.channels[region]
        return self._view(region, [frames, streams, c], [streams * c, c, 1],
                          self._start(region, streams) - delay * streams * c)

    def _view(self, region: int, size: list[int], stride: list[int], offset: int) -> Tensor:
        return (self.wide.work if self.is_wide[region] else self.main.work).as_strided(size, stride, offset)
