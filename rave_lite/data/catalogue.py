"""The recordings of a folder or a URL: what is usable, split into training and held-out clips."""

import fnmatch
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.markup import escape
from rich.table import Table

from rave_lite.data import audio, local, remote
from rave_lite.data.audio import Entry
from rave_lite.data.network import is_url, masked
from rave_lite.errors import InputError

GUARD = 1.0  # s between the regions of a lone file
LONE = 4.0  # s that a lone file must last to be split


class Samples(Protocol):
    """The samples of a whole recording, mono float32 at one rate, wherever they are kept."""

    def read(self, start: int, stop: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Clip:
    """Samples `start` to `stop` of a recording, which is named `source` after its file."""

    source: str
    samples: Samples
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples relative to the clip's own start. Raises InputError when a remote file fails."""
        stop = len(self) if stop is None else min(stop, len(self))
        return self.samples.read(self.start + start, self.start + stop)


@dataclass
class Catalogue:
    """The usable recordings of a place, as clips, and the verdict on every file. `sample_rate`: Hz."""

    root: str
    sample_rate: int
    entries: dict[str, Entry]
    train: list[Clip]
    held_out: list[Clip]

    def minutes(self, clips: list[Clip]) -> float:
        return sum(map(len, clips)) / self.sample_rate / 60

    def summary(self) -> str:
        return (f"{self.root}: {self.minutes(self.train):.2f} min to train on, "
                f"{self.minutes(self.held_out):.2f} min held out")

    def table(self) -> Table:
        """Per file: seconds, rate, channels, use; long folders are summed up, except for what was skipped."""
        table = Table()
        for column in ("file", "seconds", "rate", "channels", "use"):
            table.add_column(column, justify="left" if column in ("file", "use") else "right", overflow="fold")
        held = {clip.source for clip in self.held_out} - {clip.source for clip in self.train}
        lone = {clip.source for clip in self.held_out} - held
        used = [(name, e) for name, e in self.entries.items() if e.skipped is None]
        shown = dict(used if len(used) <= 40 else [item for item in used if item[0] in held][:20])
        for name, e in shown.items():
            use = "held out" if name in held else "train, its end held out" if name in lone else "train"
            table.add_row(escape(name), f"{e.samples / self.sample_rate:.2f}", str(e.source_rate), str(e.channels), use)
        if len(shown) < len(used):
            table.add_row(f"and {len(used) - len(shown)} more", "", "", "", "")
        for name, e in self.entries.items():
            if e.skipped is not None:
                table.add_row(escape(name), "", "", "", f"[red]skipped:[/] {escape(e.skipped)}")
        return table


def catalogue(root: str | Path, sample_rate: int, *, held_out: float | list[str] = 0.1, seed: int = 0,
              cache: str | Path | None = None, cache_gb: float = 20.0, chunk: int = remote.CHUNK) -> Catalogue:
    """Index `root`: a folder tree or one file, decoding what is new, or an fsspec URL of one, reading headers only.

    `held_out`: the fraction of files to hold out, at least one, drawn with `seed`; or names (stems or patterns).
    A lone file is split by region, its end held out behind a guard gap of a second.
    `cache`: folder; default the user's cache. `cache_gb`: GiB of a URL's audio kept there, in pieces of `chunk` samples.
    Raises InputError when nothing is usable, with the reasons, or when nothing would be left on either side.
    """
    folder = Path(cache).expanduser() if cache else default_cache()
    found: Iterable[tuple[str, Entry, Samples]]
    if is_url(root):
        place = masked(str(root))
        found = remote.index(str(root), sample_rate, folder, limit=cache_gb * 2**30, chunk=chunk)
    else:
        place = str(Path(root).expanduser())
        found = local.index(Path(place), sample_rate, folder)
    entries: dict[str, Entry] = {}
    clips: list[Clip] = []
    for name, entry, samples in found:
        entries[name] = entry
        if entry.skipped is None:
            clips.append(Clip(name, samples, 0, entry.samples))
    if not clips:
        raise InputError(_nothing_usable(place, entries))
    train, held = split(clips, sample_rate, held_out, seed)
    return Catalogue(place, sample_rate, entries, train, held)


def located(root: str | Path) -> str:
    """`root` as it is found from any working folder: a URL is left as it is."""
    return str(root) if is_url(root) else str(Path(root).expanduser().resolve())


def split(clips: list[Clip], sample_rate: int, held_out: float | list[str], seed: int) -> tuple[list[Clip], list[Clip]]:
    """Training and held-out clips, by file; by region for a lone one."""
    if not isinstance(held_out, int | float):
        named = [c for c in clips if any(fnmatch.fnmatch(c.source, p) or Path(c.source).stem == p for p in held_out)]
        missing = [p for p in held_out if not any(fnmatch.fnmatch(c.source, p) or Path(c.source).stem == p for c in clips)]
        if missing:
            raise InputError(f"data.held_out: no usable file is named {missing[0]!r}")
        train = [c for c in clips if c not in named]
        if not train or not named:
            raise InputError("data.held_out: it must leave files on both sides, to train on and to hold out")
        return train, named
    if not 0 < held_out < 1:
        raise InputError(f"data.held_out: {held_out} is not a fraction between 0 and 1")
    if len(clips) == 1:
        return _split_lone(clips[0], sample_rate, held_out)
    count = min(max(1, round(held_out * len(clips))), len(clips) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(clips))[:count].tolist())
    return [c for i, c in enumerate(clips) if i not in chosen], [c for i, c in enumerate(clips) if i in chosen]


def _split_lone(clip: Clip, sample_rate: int, fraction: float) -> tuple[list[Clip], list[Clip]]:
    if len(clip) < LONE * sample_rate:
        raise InputError(f"{clip.source}: one file of {len(clip) / sample_rate:.1f} s cannot be split into training and "
                         f"held-out parts; add a second file, or {LONE:.0f} s at least")
    start = len(clip) - max(sample_rate, round(fraction * len(clip)))
    gap = round(GUARD * sample_rate)
    return [replace(clip, stop=start - gap)], [replace(clip, start=start)]


def _nothing_usable(root: str, entries: dict[str, Entry]) -> str:
    if not entries:
        return f"{root}: no audio files ({' '.join(sorted(audio.SUFFIXES))})"
    reasons = [f"  {name}: {entry.skipped}" for name, entry in list(entries.items())[:15]]
    more = [f"  and {len(entries) - 15} more"] if len(entries) > 15 else []
    return "\n".join([f"{root}: none of its {len(entries)} audio files is usable:", *reasons, *more])


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "rave_lite"
