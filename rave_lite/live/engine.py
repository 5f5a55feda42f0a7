"""Playing an exported file from microphone to headphones.

The sound card asks for short periods, the model takes blocks of several, and on most hosts (JACK, PipeWire, Core Audio)
the callback must be back before its period is over, however long the block is: a model that computes a block of 46 ms in
8 ms would be too late in each period of 6 ms. So the callback only copies, and a thread of its own computes the blocks.
The price is `slack`: samples that the model is given for a block, a part of the latency. Where a block is not ready in
time the callback waits for it: nothing is dropped or shifted, and the host counts what was missed.
"""

import queue
import threading
import time

import numpy as np
import torch

from rave_lite.errors import InputError
from rave_lite.live.player import Player

PATIENCE = 5.0  # seconds after which a block is given up
LEAST = 128  # samples of a block that nobody asked for: shorter ones cost more than they save
KEPT = 256  # the latest block times, for their median


class Engine:
    """Turns periods into blocks, has them computed, and hands them out `delay` samples after they came in.

    `block`, `period`, `slack`, `delay`: samples; block is a multiple of period. slack None: twice what the slowest block
    of the warm-up took. It is rounded up to periods, and is a block at most: a model slower than that cannot keep up.
    """

    def __init__(self, player: Player, block: int, sample_rate: int, *, slack: int | None = None, threads: int = 1):
        if slack is not None and slack < 0:
            raise InputError(f"slack: {slack} is no number of samples")
        self.player, self.block, self.sample_rate, self.threads = player, block, sample_rate, threads
        self.period = max((n for n in range(32, 65) if block % n == 0), default=block)
        self.inbox, self.ready = np.zeros((2, player.channels[0], block), np.float32), 0
        self.playing = np.zeros((player.channels[1], block), np.float32)
        self.todo: queue.SimpleQueue = queue.SimpleQueue()
        self.done: queue.SimpleQueue = queue.SimpleQueue()
        self.position = self.underway = 0
        self.blocks = self.late = self.xruns = self.broken = 0
        self.times, self.worst, self.missed = np.zeros(KEPT), 0.0, -1.0
        self.peaks = [0.0, 0.0]  # of input and output, since somebody looked
        self.thread = threading.Thread(target=self.work, name="model", daemon=True)
        self.thread.start()
        slowest = self.result(patience=None)
        wanted = 2 * slowest * sample_rate if slack is None else slack
        self.slack = min(block, -int(-wanted // self.period) * self.period)
        self.delay = block - self.period + self.slack
        self.steps = [self.take, self.hand_over] if self.slack else [self.hand_over, self.take]

    def process_period(self, source: np.ndarray, target: np.ndarray, xrun: float | None = None) -> None:
        """One period, in the audio callback: `(period, channels)` in and out. Raises what the model raised.

        One channel in or out of the model is spread over all of the device; channels that the other end lacks are left.
        `xrun`: when the host missed something, if it did, in seconds; several periods of one time are one miss.
        """
        at, out = self.position % self.block, (self.position - self.delay) % self.block
        self.inbox[self.ready, :, at:at + self.period] = source.T
        self.position += self.period
        for step in self.steps:
            step()
        target[:] = self.playing[:target.shape[1], out:out + self.period].T
        if xrun is not None:
            self.xruns, self.missed = self.xruns + (xrun != self.missed), xrun
        self.peaks = [max(self.peaks[0], float(np.abs(source).max())), max(self.peaks[1], float(np.abs(target).max()))]

    def hand_over(self) -> None:
        """Give a full block to the model, and begin to fill the other one."""
        if self.position % self.block == 0:
            self.todo.put(self.inbox[self.ready])
            self.ready, self.underway = 1 - self.ready, self.underway + 1

    def take(self) -> None:
        """Play the next block from its start, once the last one has been played."""
        if self.underway and (self.position - self.period - self.delay) % self.block == 0:
            self.playing = self.result()
            self.underway -= 1

    def result(self, patience: float | None = PATIENCE):
        """What the model's thread made. Raises what it raised, and InputError after `patience` seconds."""
        try:
            made = self.done.get(timeout=patience)
        except queue.Empty:
            raise InputError(f"{self.player.path}: stopped, because a block was not computed within {patience} s") from None
        if isinstance(made, Exception):
            raise made
        return made

    def work(self) -> None:
        """The model's thread: everything that TorchScript and its kernels keep per thread is warm here."""
        torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)  # a tail that fades to nothing would otherwise become slow to compute
        try:
            self.done.put(self.player.warm_up(self.block))
            while (x := self.todo.get()) is not None:
                self.done.put(self.compute(x))
        except Exception as error:  # raised anew by the one who waits for the block
            self.done.put(error)

    def compute(self, x: np.ndarray) -> np.ndarray:
        """A block through the model, timed. One that is not finite is silence in the ears, and the model forgets it."""
        start = time.perf_counter()
        y = self.player.process(x)
        if not np.isfinite(y).all():
            self.broken += 1
            self.player.reset()
            y = np.zeros_like(y)
        took = time.perf_counter() - start
        self.times[self.blocks % KEPT] = took
        self.worst = max(self.worst, took)
        self.late += took > self.block / self.sample_rate
        self.blocks += 1
        return y

    def median(self) -> float:
        """Seconds that a block takes, the median of the latest."""
        return float(np.median(self.times[:self.blocks])) if self.blocks else 0.0

    def report(self) -> str:
        """One line of counts; the percentages are of the time that a block lasts."""
        lasts = self.block / self.sample_rate
        line = f"{self.blocks} blocks, {self.xruns} xruns, {self.late} late; a block takes {1000 * self.median():.1f} ms " \
               f"({self.median() / lasts:.0%}), at worst {1000 * self.worst:.1f} ms ({self.worst / lasts:.0%})"
        return line + (f"; {self.broken} were not finite" if self.broken else "")

    def stop(self) -> None:
        """End the model's thread; call it once no callback can come any more."""
        self.todo.put(None)
        self.thread.join(PATIENCE)


def block_size(asked: int | None, player: Player) -> int:
    """Samples. Raises InputError where `asked` is no multiple of the file's hop."""
    least = player.hop * -(-max(LEAST, player.block) // player.hop)
    if asked is None:
        return least
    if asked < 1 or asked % player.hop:
        raise InputError(f"block: {asked} is no multiple of this file's hop, {player.hop}; {least} is one")
    return asked
