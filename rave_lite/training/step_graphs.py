"""Records the steps of training as CUDA graphs: one launch for each instead of some hundreds."""

import warnings
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

WARM_UP = 8  # steps of a phase before the first recording: kernels are loaded, and both networks have been trained

Losses = dict[str, Tensor]


@dataclass
class Recording:
    """A forward and backward pass, and the memory that each replay reads and writes."""

    graph: torch.cuda.CUDAGraph
    x: Tensor
    losses: Losses
    gradients: list[tuple[nn.Parameter, Tensor]]

    def replay(self, x: Tensor) -> Losses:
        self.x.copy_(x)
        self.graph.replay()
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        return dict(zip(self.losses, torch.stack(list(self.losses.values())).unbind(), strict=True))  # a copy


class StepGraphs:
    """Runs the passes of training steps, from the ninth of a phase on as CUDA graphs, one for each kind of step.

    A graph draws from torch's generator as the step that was recorded does. Batches of another shape than the first, or a
    recording that fails, end it: a warning says so once, and all steps run as they are.
    """

    def __init__(self) -> None:
        self.recordings: dict[Hashable, Recording] = {}
        self.steps = 0  # of this phase
        self.phase: Hashable = None
        self.shape: torch.Size | None = None
        self.trouble: str | None = None

    def __deepcopy__(self, memo: Any) -> "StepGraphs":
        return StepGraphs()  # a graph belongs to the memory that it was recorded with

    def __call__(self, passes: Callable[[Tensor], Losses], x: Tensor, parameters: Iterable[nn.Parameter], *,
                 phase: Hashable, kind: Hashable) -> Losses:
        """The losses of `passes(x)`, which leaves gradients in `parameters`. Equal `phase` and `kind`: equal operations."""
        if phase != self.phase:
            self.recordings, self.steps, self.phase = {}, 0, phase  # frees the memory of the last phase's graphs
        self.steps += 1
        self.shape = self.shape or x.shape
        if x.shape != self.shape:
            self._give_up(f"a batch of shape {tuple(x.shape)} came after {tuple(self.shape)}")
        if self.trouble or self.steps <= WARM_UP:
            return passes(x)
        if kind not in self.recordings:
            learning = list(parameters)
            try:
                self.recordings[kind] = self._record(passes, x, learning)
            except RuntimeError as error:
                self._give_up(str(error).splitlines()[0])
                for parameter in learning:  # half a recording may have left gradients
                    parameter.grad = None
                return passes(x)
        return self.recordings[kind].replay(x)

    def _record(self, passes: Callable[[Tensor], Losses], x: Tensor, parameters: list[nn.Parameter]) -> Recording:
        graph, x = torch.cuda.CUDAGraph(), x.clone()
        pool = next((r.graph.pool() for r in self.recordings.values()), None)  # one for all: they never run at once
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):  # data workers' threads go on
            losses = passes(x)
        return Recording(graph, x, losses, [(p, p.grad) for p in parameters if p.grad is not None])

    def _give_up(self, reason: str) -> None:
        self.recordings = {}
        if self.trouble is None:
            self.trouble = reason
            warnings.warn(f"steps are not recorded as CUDA graphs, and take longer: {reason}", stacklevel=2)
