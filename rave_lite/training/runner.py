"""Runs encoder, decoder and discriminators: precision, micro-batches, compilation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rave_lite.errors import InputError
from rave_lite.layers import fold_weight_norm

PRECISIONS = ("auto", "32-true", "bf16-mixed")


class NetworkRunner:
    """Runs a network on `(B, ...)`; all else, such as the losses, stays in float32.

    `precision`: one of `PRECISIONS`; "auto", until `probe` decides, is "bf16-mixed" on a GPU that computes in it (Ampere and
    newer), else "32-true". `micro_batch`: run so many items at a time with activation checkpointing, which holds the
    activations of one micro-batch and costs one more forward pass; the result is the same. `compile`: use torch.compile.
    `record`: on a GPU, record the passes of a step as a CUDA graph, where one process trains on whole batches.
    """

    def __init__(self, *, precision: str = "32-true", micro_batch: int | None = None, compile: bool = False,  # noqa: A002
                 record: bool = True):
        if precision not in PRECISIONS:
            raise InputError(f"{precision!r} is none of {', '.join(PRECISIONS)}", where="runner.precision")
        if micro_batch is not None and micro_batch < 1:
            raise InputError(f"{micro_batch} is no number of items; null: all at once", where="runner.micro_batch")
        self.precision, self.micro_batch, self.compile, self.record = precision, micro_batch, compile, record

    def __call__(self, network: nn.Module, x: Tensor) -> Any:
        if self.compile and network._compiled_call_impl is None:
            network.compile()
        with tf32(True), torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed(x.device)):
            if self.micro_batch is None or self.micro_batch >= len(x):
                return network(x)
            return concatenate([checkpoint(network, part, use_reentrant=False) for part in x.split(self.micro_batch)])

    @contextmanager
    def folded(self, *networks: nn.Module) -> Iterator[None]:
        """Fold the weight norm of `networks` for the `with` block, where they run as they are."""
        if self.compile or self.micro_batch is not None or not networks:
            yield
        else:
            device = next(networks[0].parameters()).device
            with fold_weight_norm(networks, torch.bfloat16 if self.mixed(device) else None):
                yield

    def records(self, x: Tensor) -> bool:
        """Whether steps on batches such as `x` are to be recorded as CUDA graphs."""
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        whole = self.micro_batch is None or self.micro_batch >= len(x)
        return self.record and x.is_cuda and whole and alone and not self.compile

    def settle(self, device: torch.device) -> None:
        """Let precision "auto" be what the device has, without a measurement, which may differ between processes."""
        if self.precision == "auto":
            self.precision = "bf16-mixed" if self.mixed(device) else "32-true"

    def mixed(self, device: torch.device) -> bool:
        """Whether the networks run in bfloat16 there."""
        supported = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return self.precision == "bf16-mixed" or (self.precision == "auto" and supported)


def concatenate(parts: Sequence[Any]) -> Any:
    """Concatenate outputs of micro-batches, tensors or equally nested lists of them, along the batch."""
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return [concatenate(part) for part in zip(*parts, strict=True)]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through `network`, but its weights get none. Run the backward pass inside the `with` block."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 (ten bits, as fast as bfloat16) for float32 products and convolutions on a GPU.

    It is precise enough for networks and gradients, not for the filter bank's 100 dB or for spectral sums.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
