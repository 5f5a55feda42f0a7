"""How encoder, decoder and discriminators are run: in which precision, on how many items at a time, compiled or not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rave_lite.errors import InputError

PRECISIONS = ("auto", "32-true", "bf16-mixed")


class NetworkRunner:
    """Runs a network on `(B, ...)`; everything around the networks, the losses above all, stays in float32.

    `precision`: one of `PRECISIONS`; "auto" is "bf16-mixed" on a GPU that computes in it (Ampere and newer), else
    "32-true". `micro_batch`: that many items at a time, computing anew what the gradients need, so that one micro-batch's
    activations are held instead of all; the result is the same, a forward pass more the price. `compile`: by torch.compile.
    """

    def __init__(self, *, precision: str = "32-true", micro_batch: int | None = None, compile: bool = False):  # noqa: A002
        if precision not in PRECISIONS:
            raise InputError(f"trainer.precision: {precision!r} is none of {', '.join(PRECISIONS)}")
        if micro_batch is not None and micro_batch < 1:
            raise InputError(f"trainer.micro_batch: {micro_batch} is no number of items; null: all at once")
        self.precision, self.micro_batch, self.compile = precision, micro_batch, compile

    def __call__(self, network: nn.Module, x: Tensor) -> Any:
        if self.compile and network._compiled_call_impl is None:
            network.compile()
        with tf32(True), torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed(x.device)):
            if self.micro_batch is None or self.micro_batch >= len(x):
                return network(x)
            return joined([checkpoint(network, part, use_reentrant=False) for part in x.split(self.micro_batch)])

    def mixed(self, device: torch.device) -> bool:
        """Whether the networks run in bfloat16 there."""
        capable = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return self.precision == "bf16-mixed" or (self.precision == "auto" and capable)


def joined(parts: Sequence[Any]) -> Any:
    """Outputs of micro-batches, tensors or equally nested lists of them, along the batch."""
    return torch.cat(list(parts)) if isinstance(parts[0], Tensor) else [joined(part) for part in zip(*parts, strict=True)]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through `network`, its weights get none. To be left after the backward pass, not before."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether products and convolutions of float32 may be rounded to TF32 on a GPU: ten bits, as fast as bfloat16.

    Good enough for networks and gradients; not for the filter bank's 100 dB, and sums of powers of very different size.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
