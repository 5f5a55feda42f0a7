"""Remarks on the way, said once by a command."""

import os
from functools import lru_cache


@lru_cache(None)
def note_once(text: str) -> None:
    """Prints `note: TEXT`, unless this command has said it; of several processes that train together only the first does."""
    if not any(int(os.environ.get(rank, 0)) for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        print(f"note: {text}", flush=True)


def some(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
