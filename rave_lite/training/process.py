"""Process-wide state of a training run: seeds, warnings, memory limit, signal handlers, errors of data workers."""

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L
import torch

from rave_lite.errors import InputError


@contextmanager
def signals_restored() -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM after the `with` block, however it ends."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for s, handler in handlers.items():
            signal.signal(s, handler)


@contextmanager
def worker_errors_unwrapped() -> Iterator[None]:
    """Re-raises an InputError of a data worker without the traceback that torch puts into its message."""
    try:
        yield
    except InputError as error:
        kind = type(error)
        raise kind(str(error).split(f"{kind.__module__}.{kind.__qualname__}: ", 1)[-1].rstrip()) from error


def limit_memory(gibibytes: float | None, device: torch.device) -> None:
    """Limits how much GPU memory this process may allocate on `device`."""
    if gibibytes is not None and device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gibibytes * 2**30 / total), device)


def prepare(seed: int) -> None:
    """Seeds all generators; hides Lightning's advertisements, and warnings about intended behaviour."""
    L.seed_everything(seed, verbose=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*isinstance.treespec.*"):
        warnings.filterwarnings("ignore", message)
