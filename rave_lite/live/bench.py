"""Measures how long a block takes, and whether it is ready in time."""

import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from rave_lite.errors import InputError
from rave_lite.export.torchscript import Live, export
from rave_lite.live.cuda import CudaPlayer
from rave_lite.live.player import Player
from rave_lite.machine import resident_memory
from rave_lite.model import RAVE
from rave_lite.runs import is_base
from rave_lite.tables import make_table

ROUNDS = 8  # over the files in turn, so that other load on the machine affects all of them
WARM_UP = 8  # blocks at the start of each round of a file, not counted


@dataclass
class Row:
    """Results of one file at one block size. Times in ms; `real_time`: block's duration / median; `paced`: in real time.

    `late`: blocks of those without a pause that took longer than they last; `misses`: blocks not ready in real time.
    """

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
    late: int
    misses: int
    blocks: int
    latency: float
    total: float
    memory: float

    def verdict(self) -> str:
        """Whether the file plays in time here at this block size, in words."""
        if self.p50 > self.duration:
            return "too slow"
        return "in time" if self.late + self.misses == 0 else "mostly in time"


@contextmanager
def exported(names: list[str]) -> Iterator[dict[str, Path]]:
    """The .ts files by name; checkpoints among them are exported with default settings, to temporary files."""
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for i, name in enumerate(names):
            path = Path(name).expanduser()
            if is_base(name) or path.suffix == ".ckpt" or path.is_dir():
                model, path = RAVE.from_checkpoint(name), Path(folder) / f"{i}.ts"
                export(Live(model, batch_size=1), path, {})
            files[name] = path
        yield files


def bench(files: dict[str, Path], *, device: str, blocks: list[int] | None, count: int, seconds: float) -> list[Row]:
    """Measure every file at every block size: `count` blocks without a pause, then `seconds` in real time.

    `files`: paths by the name to show. `blocks`: samples; None: the largest hop of the files. On CUDA every file is measured
    plain, and as a CUDA graph where it can be one. Raises InputError for a block that is no multiple of a file's hop.
    """
    graphs, hops = {}, []
    for name, path in files.items():
        player = Player(path)
        hops.append(player.hop)
        graphs[name] = device == "cuda" and player.recordable
    blocks = blocks or [max(hops)]
    if wrong := [(block, hop) for block in blocks for hop in hops if block <= 0 or block % hop]:
        raise InputError(f"{wrong[0][0]} is no multiple of hop {wrong[0][1]}, as one of the files needs", where="blocks")
    rows = []
    for block in blocks:
        players, memory = {}, {}
        for name, path in files.items():
            for label, build_player in player_builders(name, path, device, block if graphs[name] else None).items():
                before = memory_used(device)
                players[label] = build_player()
                players[label].warm_up(block)
                memory[label] = memory_used(device) - before
        durations: dict[str, list[float]] = {name: [] for name in players}
        for _ in range(ROUNDS):
            for name, player in players.items():
                durations[name] += times(player, block, -(-count // ROUNDS))
        for name, player in players.items():
            paced, misses = at_pace(player, block, seconds)
            rows.append(summarise(name, player, block, durations[name], paced, misses, memory[name]))
            rows[-1].to_first = rows[-1].p50 / statistics.median(durations[next(iter(durations))])
    return rows


def player_builders(name: str, path: Path, device: str, graph: int | None) -> dict[str, Any]:
    """Functions that build the players of a file on a device, by the name to show; `graph`: the block to record, if any."""
    builders: dict[str, Any] = {name: lambda: Player(path, device)}
    if graph is not None:
        builders[f"{name}, graph"] = lambda: CudaPlayer(path, graph)
    return builders


def times(player: Player, block: int, count: int) -> list[float]:
    """ms of each of `count` blocks without a pause."""
    with without_garbage_collector():
        return [play(player, noise(player, block)) for _ in range(WARM_UP + count)][WARM_UP:]


def at_pace(player: Player, block: int, seconds: float) -> tuple[list[float], int]:
    """ms of each block when blocks arrive in real time, and how many were not ready before the next."""
    period, x = block / rate(player), noise(player, block)
    durations, misses = [], 0
    player.warm_up(block)
    with without_garbage_collector():
        start = time.perf_counter()
        for k in range(round(seconds / period)):
            time.sleep(max(0.0, start + k * period - time.perf_counter()))
            durations.append(play(player, x))
            late = time.perf_counter() - (start + (k + 1) * period)
            if late > 0:
                misses += 1
                start += late  # a host drops what was missed and goes on
    return durations or [0.0], misses


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
def without_garbage_collector() -> Iterator[None]:
    """Switch Python's garbage collector off in the `with` block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def memory_used(device: str) -> float:
    """MiB reserved on the GPU, or resident in this process."""
    if device == "cuda":
        return torch.cuda.memory_reserved() / 2**20
    return resident_memory()


def summarise(name: str, player: Player, block: int, durations: list[float], paced: list[float], misses: int,
              memory: float) -> Row:
    p50, p99, p999 = np.percentile(durations, [50, 99, 99.9])
    duration, latency = (1000 * n / rate(player) for n in (block, player.latency))
    return Row(file=name, block=block, duration=duration, p50=float(p50), p99=float(p99), p999=float(p999),
               worst=max(durations), to_first=1.0, real_time=duration / float(p50), paced_p50=statistics.median(paced),
               paced_worst=max(paced), late=sum(d > duration for d in durations), misses=misses, blocks=len(paced),
               latency=latency, total=latency + duration, memory=memory)


def table(rows: list[Row]) -> Table:
    """A table for people; times in ms."""
    columns = ("file", "block", "lasts", "p50", "p99", "p99.9", "worst", "late", "to first", "real time", "paced p50",
               "worst", "missed", "verdict", "latency", "+ block", "MiB")
    cells = [(r.file, str(r.block), *(f"{v:.2f}" for v in (r.duration, r.p50, r.p99, r.p999, r.worst)), str(r.late),
              f"{r.to_first:.2f} x", f"{r.real_time:.1f} x", f"{r.paced_p50:.2f}", f"{r.paced_worst:.2f}",
              f"{r.misses} of {r.blocks}", r.verdict(), f"{r.latency:.1f}", f"{r.total:.1f}", f"{r.memory:.0f}")
             for r in rows]
    return make_table(columns, cells, left=("file",), title="block times, ms")
