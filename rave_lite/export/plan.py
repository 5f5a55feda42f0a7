"""The plan of a network's block: its layers, and the regions of memory between them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from rave_lite.layers import MatrixConv, Snake, StreamingNorm


@dataclass
class Region:
    """Frames that a layer reads or writes: `past` of earlier blocks and `rate` for each frame of the latent.

    `wide`: float32 also where the network has fewer bits.
    """

    channels: int
    rate: int
    past: int = 0
    wide: bool = False

    def remember(self, frames: int) -> None:
        self.past = max(self.past, frames)


@dataclass
class Step:
    """A layer between two regions: a convolution, a Snake, or a normalisation in place. `leaky`: after leaky ReLU.

    `skip`: a region added `skip_delay` frames late. `shape`: kernel, stride, dilation, output frames of a row. `parts`: of
    a frame that go through the layer side by side, each as a stream of its own.
    """

    layer: MatrixConv | Snake | StreamingNorm
    source: Region
    target: Region
    leaky: bool = False
    skip: Region | None = None
    skip_delay: int = 0
    bias: Tensor | None = None
    parts: int = 1

    def __post_init__(self) -> None:
        self.source.remember(self.reach)
        if self.skip is not None:
            self.skip.remember(self.skip_delay)

    @property
    def reach(self) -> int:
        return length(self.layer.past) - self.layer.skipped if isinstance(self.layer, MatrixConv) else 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        if not isinstance(self.layer, MatrixConv):
            return 1, 1, 1, 1
        kernel, rows = (self.layer.span - 1) // self.layer.dilation + 1, self.layer.product.out_features
        return kernel, self.layer.stride, self.layer.dilation, self.parts * rows // self.target.channels


@dataclass
class Plan:
    """The regions and layers of a network, in the order in which they run; `taps`: regions to be read some frames late."""

    regions: list[Region] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    taps: list[tuple[Region, int]] = field(default_factory=list)
    snakes: dict[Snake, Region] = field(default_factory=dict)

    def region(self, channels: int, rate: int, *, wide: bool = False) -> Region:
        self.regions.append(Region(channels, rate, wide=wide))
        return self.regions[-1]

    def step(self, conv: MatrixConv, source: Region, target: Region, *, activation: nn.Module | None = None,
             skip: Region | None = None, skip_delay: int = 0, bias: Tensor | None = None, parts: int = 1) -> Region:
        """Add a layer, after its activation; returns its target. A layer without past is its source's only reader."""
        if isinstance(activation, Snake):
            if activation not in self.snakes:
                place = source if conv.span == 1 else self.region(source.channels, source.rate)
                self.steps.append(Step(activation, source, place))
                self.snakes[activation] = place
            source = self.snakes[activation]
        self.steps.append(Step(conv, source, target, isinstance(activation, nn.LeakyReLU), skip, skip_delay, bias,
                               parts))
        return target

    def units(self, units: Iterable[Any], x: Region) -> Region:
        """Add residual units that read `x`; returns the output of the last."""
        hidden = None
        for unit in units:
            outer, wide, inner, out = unit.branch
            if isinstance(unit.norm, StreamingNorm):
                self.steps.append(Step(unit.norm, x, x))
            if hidden is None or hidden.past:
                hidden = self.region(x.channels, x.rate)
            self.step(wide, x, hidden, activation=outer)
            x = self.step(out, hidden, self.region(x.channels, x.rate), activation=inner, skip=x,
                          skip_delay=length(unit.skip))
        return x

    def tap(self, region: Region, delay: int) -> int:
        """The number of a view of `region`, `delay` frames late, among those of `Arena.tapped`."""
        region.remember(delay)
        self.taps.append((region, delay))
        return len(self.taps) - 1


def length(past: nn.Module) -> int:
    """Frames that a `StreamingPad` remembers; 0 for what takes its place where it remembers none."""
    return int(getattr(past, "length", 0))
