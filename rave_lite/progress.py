"""Progress of work that takes long: a bar in a terminal, or else a line now and then."""

import os
import sys
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

PATIENCE = 2.0  # s: shorter work says nothing
INTERVAL = 30.0  # s between lines


class Progress:
    """Shows, from two seconds on, how far some work is, on standard error; threads may advance it.

    `items`: their number, which is shown; `total`: amount of work, of which the share is. The time left is reckoned from the
    first advance on, so that it does not count what comes before. Of several processes of a run the first shows it.
    """

    def __init__(self, label: str, items: int, total: float):
        self.label, self.items, self.total = label, items, max(1.0, total)
        self.done, self.items_done = 0.0, 0
        self.first: tuple[float, float] | None = None  # when it first advanced, and how far
        self.lock = threading.Lock()
        self.is_shown = os.environ.get("LOCAL_RANK", "0") == "0"
        self.next_line = time.monotonic() + PATIENCE
        self.bar: Bar | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar:
            self.bar.stop()

    def advance(self, amount: float, items: int = 0) -> None:
        """Adds work that is done, and items that are."""
        with self.lock:
            self.done, self.items_done = self.done + amount, self.items_done + items
            now = time.monotonic()
            self.first = self.first or (now, self.done)
            if not self.is_shown or now < self.next_line:
                return
            if not sys.stderr.isatty():
                began, at_first = self.first
                if at_first == self.done < self.total:  # no pace is known yet
                    return
                self.next_line = now + INTERVAL
                left = (now - began) * (self.total - self.done) / max(self.done - at_first, 1e-9)
                count, share = f"{self.items_done:,} of {self.items:,}", self.done / self.total
                print(f"{self.label}: {count}, {share:.0%}, {left:.0f} s left", file=sys.stderr, flush=True)
                return
            self.next_line = now + 0.1
            if self.bar is None:
                self.bar = Bar(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"),
                               TimeRemainingColumn(), console=Console(stderr=True), transient=True)
                self.bar.start()
                self.bar.add_task("", total=self.total)
            self.bar.update(self.bar.task_ids[0], completed=self.done,
                            description=f"{self.label}: {self.items_done:,} of {self.items:,}")
