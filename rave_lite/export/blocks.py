"""Plays an exported file block by block, as hosts do: test signals, and the lengths of their blocks."""

from collections.abc import Callable
from itertools import accumulate, cycle, takewhile
from typing import Any

import torch
from torch import Tensor

IRREGULAR = [1, 3, 2, 7, 1, 5, 4, 1]  # hops in each block, repeated
PROBE_HOPS = 24  # hops of test signal, beside the latency


def probe(live: Any) -> Tensor:
    """Noise at a third of full scale, four streams where the file has them."""
    generator = torch.Generator().manual_seed(0)
    length = (-(-live.latency // live.hop) + PROBE_HOPS) * live.hop
    return 0.3 * torch.randn(min(4, live.batch_size), live.channels, length, generator=generator)


def flush_samples(live: Any) -> int:
    """Samples of silence after which the file has forgotten its input."""
    memory = live.receptive_field + live.latency
    return -(-memory // live.hop) * live.hop


def play_blocks(live: Any, x: Tensor, hops: list[int]) -> Tensor:
    """Reset `live`, then play `x` in blocks of these many hops, repeated."""
    live.reset()
    return stream_blocks(live, x, [n * live.hop for n in hops])


def stream_blocks(method: Callable[[Tensor], Tensor], x: Tensor, blocks: list[int]) -> Tensor:
    """Pass `x` through a streaming method in blocks of these lengths, repeated; returns the joined outputs."""
    ends = list(takewhile(lambda end: end < x.shape[-1], accumulate(cycle(blocks))))
    with torch.inference_mode():
        return torch.cat([method(block) for block in x.tensor_split(ends, -1)], -1)
