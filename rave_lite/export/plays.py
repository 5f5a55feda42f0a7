"""How long a block of an exported file takes on this machine."""

import statistics
import time
from typing import Any

import torch

from rave_lite.machine import processor

LONGEST = 2048  # samples; longer blocks are only measured where the file takes no shorter ones
BLOCKS, WARM_UP = 24, 6


def plays(live: Any) -> dict[str, Any]:
    """`{"plays": {device: {block: ms}}}`: the median time of the blocks that hosts use, by a loaded or scripted file.

    The CPU's is that of one thread; the GPU's, where there is one, that of single calls, without a CUDA graph. Leaves
    the file on the last device, its streams not reset. Nothing of a file that cannot play: to say why is `verify`'s.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        by_device = {f"{processor()}, one thread": times(live, torch.device("cpu"))}
        if torch.cuda.is_available() and live.precision != "int8":
            by_device[torch.cuda.get_device_name()] = times(live.to("cuda"), torch.device("cuda"))
    except RuntimeError:
        return {}
    finally:
        torch.set_num_threads(threads)
    return {"plays": by_device}


def times(live: Any, device: torch.device) -> dict[str, float]:
    """ms by samples of a block: the file's own, and up to `LONGEST` its doubles."""
    block, medians = live.hop, dict[str, float]()
    while not medians or block <= LONGEST:
        medians[str(block)] = round(1000 * statistics.median(durations(live, block, device)[WARM_UP:]), 3)
        block *= 2
    return medians


def durations(live: Any, block: int, device: torch.device) -> list[float]:
    x, seconds = 0.1 * torch.randn(1, live.channels, block), []
    for _ in range(WARM_UP + BLOCKS):
        start = time.perf_counter()
        with torch.inference_mode():
            live(x.to(device)).cpu()
        seconds.append(time.perf_counter() - start)
    return seconds


def as_line(block_ms: dict[str, float], sample_rate: int) -> str:
    """As text: which blocks are in time, and how long they take."""
    parts = []
    for block, ms in block_ms.items():
        lasts = 1000 * int(block) / sample_rate
        parts.append(f"{block} in {ms:.2f} of {lasts:.1f} ms" + ("" if ms < lasts else ": too slow"))
    return "blocks of " + ", ".join(parts)
