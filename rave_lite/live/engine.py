"""Plays an exported file live, from microphone to headphones.

The sound card asks for short periods, the model takes blocks of several, and on most hosts (JACK, PipeWire, Core Audio)
the callback must be back before its period is over, however long the block is: a model that computes a block of 46 ms in
8 ms would be too late in each period of 6 ms. So the callback only copies, and another thread computes the blocks.
The price is `slack`: samples of additional latency in which the model computes a block. Where a block is not ready in
time the callback waits for it: nothing is dropped or shifted, and the host counts an xrun.
"""

import queue
import threading
import time

import numpy as np
import torch

from rave_lite.errors import InputError
from rave_lite.live.player import Player

TIMEOUT = 5.0  # seconds to wait for a block
MIN_DEFAULT_BLOCK = 128  # samples; shorter blocks cost more computing than they save latency
TIMES_KEPT = 256  # latest block times, for their median


class Engine:
    """Collects periods into blocks, computes them in a thread, and plays them `delay` samples after they came in.

    `block`, `period`, `slack`, `delay`: samples; block is a multiple of period. slack None: twice the time of the slowest
    warm-up block. It is rounded up to periods, and is a block at most: a model slower than that cannot keep up.
    """

    def __init__(self, player: Player, block: int, sample_rate: int, *, slack: int | None = None, threads: int = 1):
        if slack is not None and slack < 0:
            raise InputError(f"{slack} is no number of samples", where="slack")
        self.player, self.block, self.sample_rate, self.threads = player, block, sample_rate, threads
        self.period = max((n for n in range(32, 65) if block % n == 0), default=block)
        self.inbox, self.ready = np.zeros((2, player.channels[0], block), np.float32), 0
        self.playing = np.zeros((player.channels[1], block), np.float32)
        self.todo: queue.SimpleQueue = queue.SimpleQueue()
        self.done: queue.SimpleQueue = queue.SimpleQueue()
        self.position = self.blocks_underway = 0
        self.blocks = self.late = self.xruns = self.nonfinite_blocks = 0
        self.times, self.worst, self.last_xrun = np.zeros(TIMES_KEPT), 0.0, -1.0
        self.peaks = [0.0, 0.0]  # of input and output, since the display last read them
        self.thread = threading.Thread(target=self.work, name="model", daemon=True)
        self.thread.start()
        slowest = self.result(timeout=None)
        slack_samples = 2 * slowest * sample_rate if slack is None else slack
        self.slack = min(block, -int(-slack_samples // self.period) * self.period)
        self.delay = block - self.period + self.slack
        self.steps = [self.take, self.hand_over] if self.slack else [self.hand_over, self.take]

    def process_period(self, source: np.ndarray, target: np.ndarray, xrun: float | None = None) -> None:
        """Process one period in the audio callback: `(period, channels)` in and out. Raises what the model raised.

        A single channel of the model is used for all of the device; further channels that the other side lacks are ignored.
        `xrun`: host time of an xrun in seconds, or None; several periods with the same time count once.
        """
        at, out = self.position % self.block, (self.position - self.delay) % self.block
        self.inbox[self.ready, :, at:at + self.period] = source.T
        self.position += self.period
        for step in self.steps:
            step()
        target[:] = self.playing[:target.shape[1], out:out + self.period].T
        if xrun is not None:
            self.xruns, self.last_xrun = self.xruns + (xrun != self.last_xrun), xrun
        self.peaks = [max(self.peaks[0], float(np.abs(source).max())), max(self.peaks[1], float(np.abs(target).max()))]

    def hand_over(self) -> None:
        """Queue a full block for the model, and fill the other buffer next."""
        if self.position % self.block == 0:
            self.todo.put(self.inbox[self.ready])
            self.ready, self.blocks_underway = 1 - self.ready, self.blocks_underway + 1

    def take(self) -> None:
        """Switch to the next block once the last one has been played."""
        if self.blocks_underway and (self.position - self.period - self.delay) % self.block == 0:
            self.playing = self.result()
            self.blocks_underway -= 1

    def result(self, timeout: float | None = TIMEOUT):
        """The next result of the model's thread. Raises what it raised, and InputError after `timeout` seconds."""
        try:
            outcome = self.done.get(timeout=timeout)
        except queue.Empty:
            raise InputError(f"stopped, because a block was not computed within {timeout} s",
                             where=self.player.path) from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def work(self) -> None:
        """Loop of the model's thread, warm-up included: TorchScript and its kernels keep state per thread."""
        torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)  # denormals in a fading tail would be slow
        try:
            self.done.put(self.player.warm_up(self.block))
            while (x := self.todo.get()) is not None:
                self.done.put(self.compute(x))
        except Exception as error:  # `result` raises it in the thread that waits
            self.done.put(error)

    def compute(self, x: np.ndarray) -> np.ndarray:
        """Process and time one block. A non-finite one is replaced by silence, and the model is reset."""
        start = time.perf_counter()
        y = self.player.process(x)
        if not np.isfinite(y).all():
            self.nonfinite_blocks += 1
            self.player.reset()
            y = np.zeros_like(y)
        took = time.perf_counter() - start
        self.times[self.blocks % TIMES_KEPT] = took
        self.worst = max(self.worst, took)
        self.late += took > self.block / self.sample_rate
        self.blocks += 1
        return y

    def median(self) -> float:
        """Median time of the latest blocks, in seconds."""
        return float(np.median(self.times[:self.blocks])) if self.blocks else 0.0

    def report(self) -> str:
        """One line of counts; percentages are of a block's duration."""
        lasts = self.block / self.sample_rate
        line = f"{self.blocks} blocks, {self.xruns} xruns, {self.late} late; a block takes {1000 * self.median():.1f} ms " \
               f"({self.median() / lasts:.0%}), at worst {1000 * self.worst:.1f} ms ({self.worst / lasts:.0%})"
        return line + (f"; {self.nonfinite_blocks} were not finite" if self.nonfinite_blocks else "")

    def stop(self) -> None:
        """End the model's thread. Call it when no further callback can come."""
        self.todo.put(None)
        self.thread.join(TIMEOUT)


def block_size(block: int | None, player: Player) -> int:
    """Block size in samples; None: a default. Raises InputError where `block` is no multiple of the file's hop."""
    shortest = player.hop * -(-MIN_DEFAULT_BLOCK // player.hop)
    if block is None:
        return shortest
    if block < 1 or block % player.hop:
        raise InputError(f"{block} is no multiple of this file's hop, {player.hop}; {shortest} is one", where="block")
    return block
