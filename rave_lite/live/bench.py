"""How long a block takes, and whether it is ready in time."""

import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from rich.table import Table

from rave_lite.live.cuda import CudaPlayer
from rave_lite.live.player import Player
from rave_lite.machine import resident_memory

ROUNDS = 8  # the files take turns, so that what else the machine does falls on all of them
WARM_UP = 8  # blocks at the start of each turn, not counted


@dataclass
class Row:
    """One file at one block size. Times in ms; `real_time`: duration of a block to the median; `paced`: at audio's pace."""

    file: str
    block: int
    duration: float
    p50: float
    p99: float
    p999: float
    worst: float
    to_first: float
    real_time: float
    paced_p50: float
    paced_worst: float
    misses: int
    blocks: int
    latency: float
    total: float
    memory: float


def bench(files: dict[str, Path], *, device: str, blocks: list[int], count: int, seconds: float) -> list[Row]:
    """Every file at every block size: `count` blocks one after the other in turns, then `seconds` at audio's pace.

    `files`: paths by the name to show. On CUDA every file is measured plain and as a graph.
    """
    rows = []
    for block in blocks:
        players, memory = {}, {}
        for name, path in files.items():
            for label, make in ways(name, path, device, block).items():
                before = used(device)
                players[label] = make()
                players[label].warm_up(block)
                memory[label] = used(device) - before
        taken: dict[str, list[float]] = {name: [] for name in players}
        for _ in range(ROUNDS):
            for name, player in players.items():
                taken[name] += times(player, block, -(-count // ROUNDS))
        for name, player in players.items():
            paced, misses = at_pace(player, block, seconds)
            rows.append(row(name, player, block, taken[name], paced, misses, memory[name]))
            rows[-1].to_first = rows[-1].p50 / statistics.median(taken[next(iter(taken))])
    return rows


def ways(name: str, path: Path, device: str, block: int) -> dict[str, Any]:
    """How to play a file on a device, by what to call it."""
    if device == "cuda":
        return {name: lambda: Player(path, device), f"{name}, graph": lambda: CudaPlayer(path, block)}
    return {name: lambda: Player(path, device)}


def times(player: Player, block: int, count: int) -> list[float]:
    """ms of `count` blocks without a pause."""
    with no_collector():
        return [play(player, noise(player, block)) for _ in range(WARM_UP + count)][WARM_UP:]


def at_pace(player: Player, block: int, seconds: float) -> tuple[list[float], int]:
    """ms of each block when it arrives as audio does, and how many were not ready when the next one was."""
    period, x = block / rate(player), noise(player, block)
    taken, misses = [], 0
    player.warm_up(block)
    with no_collector():
        start = time.perf_counter()
        for k in range(round(seconds / period)):
            time.sleep(max(0.0, start + k * period - time.perf_counter()))
            taken.append(play(player, x))
            late = time.perf_counter() - (start + (k + 1) * period)
            if late > 0:
                misses += 1
                start += late  # a host drops what was missed and goes on
    return taken or [0.0], misses


def play(player: Player, x: np.ndarray) -> float:
    start = time.perf_counter()
    player.process(x)
    return 1000 * (time.perf_counter() - start)


def rate(player: Player) -> int:
    """Hz; 44100 for a file from elsewhere that does not say."""
    return player.sample_rate or 44100


def noise(player: Player, block: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((player.channels[0], block), dtype=np.float32)


@contextmanager
def no_collector() -> Iterator[None]:
    """Without pauses for Python's garbage collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def used(device: str) -> float:
    """MiB in use: of the GPU's memory, or resident in this process."""
    if device == "cuda":
        return torch.cuda.memory_reserved() / 2**20
    return resident_memory()


def row(name: str, player: Player, block: int, taken: list[float], paced: list[float], misses: int, memory: float) -> Row:
    p50, p99, p999 = np.percentile(taken, [50, 99, 99.9])
    duration, latency = (1000 * n / rate(player) for n in (block, player.latency))
    return Row(file=name, block=block, duration=duration, p50=float(p50), p99=float(p99), p999=float(p999),
               worst=max(taken), to_first=1.0, real_time=duration / float(p50), paced_p50=statistics.median(paced),
               paced_worst=max(paced), misses=misses, blocks=len(paced), latency=latency, total=latency + duration,
               memory=memory)


def table(rows: list[Row]) -> Table:
    """For people; times in ms."""
    made = Table(title="block times, ms", title_justify="left")
    for column in ("file", "block", "lasts", "p50", "p99", "p99.9", "worst", "to first", "real time", "paced p50", "worst",
                   "missed", "latency", "+ block", "MiB"):
        made.add_column(column, justify="left" if column == "file" else "right", overflow="fold")
    for r in rows:
        made.add_row(escape(r.file), str(r.block), *(f"{v:.2f}" for v in (r.duration, r.p50, r.p99, r.p999, r.worst)),
                     f"{r.to_first:.2f} x", f"{r.real_time:.1f} x", f"{r.paced_p50:.2f}", f"{r.paced_worst:.2f}",
                     f"{r.misses} of {r.blocks}", f"{r.latency:.1f}", f"{r.total:.1f}", f"{r.memory:.0f}")
    return made


def as_dict(rows: list[Row]) -> list[dict[str, Any]]:
    return [asdict(r) for r in rows]
