"""Modes that count the memory of tensors, limit it, and count how often a tensor is read."""

import math
import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of every storage made while the mode is on and still alive; `peak` is the most there were.

    A storage is rounded up to 512 bytes, as torch's CUDA allocator does. Raises OutOfMemoryError above `limit`, bytes.
    """

    def __init__(self, limit: float = math.inf):
        super().__init__()
        self.limit = limit
        self.seen: dict[int, weakref.ref] = {}
        self.live = self.peak = 0

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        size, key = -(-storage.nbytes() // 512) * 512, storage._cdata
        if key not in self.seen:
            def gone(_: Any) -> None:
                self.live -= size
                del self.seen[key]

            self.seen[key] = weakref.ref(storage, gone)
            self.live += size
            self.peak = max(self.peak, self.live)
            if self.live > self.limit:
                raise torch.OutOfMemoryError(f"out of memory: {size} bytes asked for")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return out


class Reads(TorchDispatchMode):
    """Counts how often a value is read from a tensor: on a GPU, each time the processor waits for it."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default,
                               torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))
