"""Counts the operations that code dispatches: on a GPU each is a launch, and a CPU dispatches the same number."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

VIEWS = {"_conj", "_reshape_alias", "_unsafe_view", "alias", "as_strided", "chunk", "detach", "diagonal", "expand",
         "lift_fresh", "narrow", "permute", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose",
         "unbind", "unfold", "unsqueeze", "view", "view_as_real"}


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name not in VIEWS:
            self.counts[name] += 1
        return func(*args, **kwargs or {})


def count_operations(call: Callable[[], object]) -> Counter[str]:
    """How often `call` dispatches each operation of aten, views not counted: they move nothing."""
    with _Counting() as counting:
        call()
    return counting.counts
