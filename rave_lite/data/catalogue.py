"""The recordings of a folder or a URL: what is usable, split into training and held-out clips."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rave_lite.data import audio, local, remote
from rave_lite.data.audio import Entry
from rave_lite.data.clip import Clip, Samples, cut_silence
from rave_lite.data.copies import near_copies, split_by_take
from rave_lite.data.manifest import Kept
from rave_lite.data.network import is_url, redact_url
from rave_lite.data.scan import MOVIES, SUFFIXES
from rave_lite.data.sides import BEFORE, CUT, HELD_OUT, TRAIN, UNUSED, Sides
from rave_lite.data.split import split
from rave_lite.errors import InputError
from rave_lite.tables import make_table

ROUNDING = 0.0006  # s: a manifest's times are whole milliseconds


@dataclass
class Catalogue:
    """The usable recordings of a folder or URL, as clips, and an entry for every file. `sample_rate`: Hz.

    `unused`: clips that are neither trained on nor held out; `sides`: what the run that they belong to remembered.
    """

    root: str
    sample_rate: int
    entries: dict[str, Entry]
    train: list[Clip]
    held_out: list[Clip]
    unused: list[Clip] = field(default_factory=list)
    sides: Sides | None = None

    def minutes(self, clips: list[Clip]) -> float:
        return sum(map(len, clips)) / self.sample_rate / 60

    def summary(self) -> str:
        return (f"{self.root}: {self.minutes(self.train):.2f} min to train on, "
                f"{self.minutes(self.held_out):.2f} min held out" +
                (f"; {silence:.2f} min of silence left out" if (silence := self.silence()) >= 0.005 else ""))

    def silence(self) -> float:
        """Minutes of long silent stretches in the usable recordings."""
        silent = [stretch for entry in self.entries.values() if entry.skipped is None for stretch in entry.silent]
        return sum(stop - start for start, stop in silent) / self.sample_rate / 60

    def table(self) -> Table:
        """One row per file: seconds, rate, channels, use. Of over 40 files 20 held-out, 40 with remarks, all skipped."""
        held_sources = {clip.source for clip in self.held_out} - {clip.source for clip in self.train}
        split_sources = {clip.source for clip in self.held_out} - held_sources
        used = [(name, entry) for name, entry in self.entries.items() if entry.skipped is None]
        clip_samples: dict[str, int] = {}
        for clip in self.train + self.held_out:
            clip_samples[clip.source] = clip_samples.get(clip.source, 0) + len(clip)
        rows: list[tuple[str | Text, ...]] = []
        shown = dict(used if len(used) <= 40 else [item for item in used if item[0] in held_sources][:20] +
                     [item for item in used if item[1].remarks()][:40])
        for name, entry in shown.items():
            use = "held out" if name in held_sources else "train, its end held out" if name in split_sources else "train"
            used_s = clip_samples.get(name, 0) / self.sample_rate
            whole_s = (entry.samples - sum(stop - start for start, stop in entry.silent)) / self.sample_rate
            use += (f", {used_s:.2f} s of sound" if entry.silent and (name in split_sources or used_s == whole_s) else
                    f", {used_s:.2f} s of it" if name not in split_sources and used_s < whole_s else "")
            use = "; ".join([use if name in clip_samples else "left out", *entry.remarks()])
            rows.append((name, f"{entry.samples / self.sample_rate:.2f}", str(entry.source_rate), str(entry.channels), use))
        if len(shown) < len(used):
            rows.append((f"and {len(used) - len(shown)} more", "", "", "", ""))
        rows += [(name, "", "", "", Text.assemble(("skipped:", "red"), f" {entry.skipped}"))
                 for name, entry in self.entries.items() if entry.skipped is not None]
        return make_table(("file", "seconds", "rate", "channels", "use"), rows, left=("file", "use"))


def remarks(entries: dict[str, Entry], most: int = 40) -> list[str]:
    """A line in rich's markup for each file that cannot be used, and each remark on another; `most` lines and a count."""
    lines = [f"{escape(name)} [red]skipped:[/] {escape(e.skipped)}" for name, e in entries.items() if e.skipped is not None]
    lines += [f"{escape(name)} [yellow]note:[/] {escape(note)}" for name, e in entries.items() for note in e.remarks()]
    return lines if len(lines) <= most else [*lines[:most], f"and {len(lines) - most} more such files"]


def catalogue(root: str | Path, sample_rate: int, *, held_out: float | list[str] = 0.1, seed: int = 0,
              cache: str | Path | None = None, cache_gb: float = 20.0, chunk: int = remote.CHUNK,
              kept: Kept | None = None, memory: dict[str, Any] | None = None, joins: bool = False,
              by_take: bool = False, channels: int = 1) -> Catalogue:
    """Indexes `root`: a folder tree or one file (new files are decoded), or an fsspec URL of one (only headers are read).

    `held_out`: the fraction of files to hold out, at least one, drawn with `seed`; or names (stems or patterns).
    A lone file is split by region, its end held out behind a guard gap of a second.
    `cache`: folder; default the user's cache. `cache_gb`: GiB of a URL's audio kept there, in pieces of `chunk` samples.
    `kept`: the regions of a manifest; what lies outside them is neither trained on nor held out.
    Long silent stretches of local recordings are cut out, also within kept regions.
    `memory`: of a run (see `sides.remember`), which is split as it was; `joins`: new files, which it does not know, are
    trained on, and those named in `held_out` are held out; if it knows none of the files, they are split anew.
    `by_take`: copies and near copies are on one side, as in every run that is new. `channels`: of the clips' sounds, 1 or 2;
    silence, levels and near copies are looked for in the mix.
    Raises InputError with the reasons when no file is usable, or when the training or held-out side would be empty.
    """
    shown_root, entries, clips = usable(root, sample_rate, cache=cache, cache_gb=cache_gb, chunk=chunk, channels=channels)
    if kept is not None:
        clips = keep_regions(clips, kept, sample_rate, entries)
    clips = without_silence(root, clips, entries, sample_rate)
    if kept is not None:
        if not clips:
            raise InputError("all that it keeps is silent", where="data.manifest")
        kept_sources = {clip.source for clip in clips}
        entries = {name: entry if entry.skipped or name in kept_sources else
                   replace(entry, skipped="not kept by the manifest") for name, entry in entries.items()}
    sides = Sides.recall(memory, clips, redact_url(resolve_root(root))) if memory else None
    if sides and (sides.known or not joins):
        return split_again(Catalogue(shown_root, sample_rate, entries, clips, [], sides=sides), sides, held_out, joins)
    if by_take or sides:
        train, held = split_by_take(shown_root, clips, sample_rate, held_out, seed, near=not is_url(root))
    else:
        train, held = split(clips, sample_rate, held_out, seed)
    return Catalogue(shown_root, sample_rate, entries, train, held, sides=sides)


def split_again(all_clips: Catalogue, sides: Sides, held_out: float | list[str], joins: bool) -> Catalogue:
    """The clips of `all_clips` on the sides that a run remembers. See `catalogue`."""
    if joins and not isinstance(held_out, int | float):
        sides.hold_out([held_out] if isinstance(held_out, str) else held_out)
    clips, rate = all_clips.train, all_clips.sample_rate
    held = sides.clips(clips, rate, HELD_OUT)
    new = [clip for clip in clips if joins and clip.source in sides.new and clip.searched]
    for name in near_copies(held, new, rate):
        sides.new.remove(name)
        sides.copies[name] = HELD_OUT
    sides.require_both(all_clips.root)
    sides.tell(all_clips.root, joins)
    trained = (TRAIN, CUT) if joins else (TRAIN, BEFORE, CUT)
    train = sides.clips(clips, rate, *trained) + (sides.joining(clips) if joins else [])
    unused = sides.clips(clips, rate, *({BEFORE, UNUSED} - {*trained}))
    entries = {name: entry for name, entry in all_clips.entries.items() if joins or name not in sides.new}
    return replace(all_clips, entries=entries, train=train, held_out=held, unused=unused)


def usable(root: str | Path, sample_rate: int, *, cache: str | Path | None = None, cache_gb: float = 20.0,
           chunk: int = remote.CHUNK, foreign: bool = False,
           channels: int = 1) -> tuple[str, dict[str, Entry], list[Clip]]:
    """`root` without secrets, the entry of each file, and each usable file as one clip. Arguments: see `catalogue`.

    What rave_lite wrote is left out; `foreign`: see `outputs.leave_out`.
    """
    folder = Path(cache).expanduser() if cache else default_cache()
    indexed: Iterable[tuple[str, Entry, Samples]]
    if is_url(root):
        shown_root = redact_url(str(root))
        indexed = remote.index(str(root), sample_rate, folder, limit=cache_gb * 2**30, chunk=chunk,
                               foreign=foreign, channels=channels)
    else:
        shown_root = str(Path(root).expanduser())
        indexed = local.index(Path(shown_root), sample_rate, folder, foreign, channels)
    entries: dict[str, Entry] = {}
    clips: list[Clip] = []
    for name, entry, samples in indexed:
        entries[name] = entry
        if entry.skipped is None:
            clips.append(Clip(name, samples, 0, entry.samples, searched=not is_url(root)))
    if not clips:
        raise InputError(_nothing_usable(shown_root, entries))
    return shown_root, entries, clips


def keep_regions(clips: list[Clip], kept: Kept, sample_rate: int, entries: dict[str, Entry]) -> list[Clip]:
    """Cuts whole recordings to the regions of a manifest. Raises InputError if a file is missing, unusable or too short."""
    for name in sorted(kept.keys() - {clip.source for clip in clips}):
        why = f"cannot be used ({entries[name].skipped})" if name in entries else "is not in data.root"
        raise InputError(f"it keeps regions of {name!r}, which {why}; put it there, or say no under keep",
                         where="data.manifest")
    return [_region(clip, start, end, sample_rate) for clip in clips for start, end in kept.get(clip.source, [])]


def without_silence(root: str | Path, clips: list[Clip], entries: dict[str, Entry], sample_rate: int) -> list[Clip]:
    """Cuts long silent stretches out of local clips; clips of a URL, of which only headers were read, stay as they are."""
    if is_url(root):
        return clips
    return [part for clip in clips for part in cut_silence(clip, entries[clip.source].silent, sample_rate)]


def _region(clip: Clip, start: float, end: float, sample_rate: int) -> Clip:
    """The part of a whole recording from `start` to `end` s. Raises InputError."""
    prefix, seconds = f"data.manifest: {clip.source!r} is kept from {start:g} to {end:g} s", len(clip) / sample_rate
    if end > seconds + ROUNDING:
        raise InputError(f"{prefix}, but ends at {seconds:.3f} s")
    stop = len(clip) if end > seconds - ROUNDING else round(end * sample_rate)
    region = replace(clip, start=round(start * sample_rate), stop=stop)
    if fault := audio.fault(len(region) / sample_rate + ROUNDING):
        raise InputError(fault, where=prefix)
    return region


def resolve_root(root: str | Path) -> str:
    """`root` as an absolute path, valid in any working folder; a URL stays as it is."""
    return str(root) if is_url(root) else str(Path(root).expanduser().resolve())


def _nothing_usable(root: str, entries: dict[str, Entry]) -> str:
    if not entries:
        return f"{root}: no audio files ({' '.join(sorted(SUFFIXES | MOVIES))})"
    reasons = [f"  {name}: {entry.skipped}" for name, entry in list(entries.items())[:15]]
    more = [f"  and {len(entries) - 15} more"] if len(entries) > 15 else []
    return "\n".join([f"{root}: none of its {len(entries)} audio files is usable:", *reasons, *more])


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "rave_lite"
