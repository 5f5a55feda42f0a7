"""The recordings of a folder or a URL: what is usable, split into training and held-out clips."""

import difflib
import fnmatch
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rave_lite.data import audio, local, remote
from rave_lite.data.audio import Entry
from rave_lite.data.clip import Clip, Samples, cut_silence
from rave_lite.data.manifest import Kept
from rave_lite.data.network import is_url, redact_url
from rave_lite.data.scan import MOVIES, SUFFIXES
from rave_lite.errors import InputError
from rave_lite.tables import make_table

GUARD = 1.0  # s between the regions of a lone file
MIN_LONE_FILE_SECONDS = 4.0  # s from the first to the last sound of a lone file that can be split
HIT = 10.0  # s: shorter sounds of a lone file are not split
ROUNDING = 0.0006  # s: a manifest's times are whole milliseconds


@dataclass
class Catalogue:
    """The usable recordings of a folder or URL, as clips, and an entry for every file. `sample_rate`: Hz."""

    root: str
    sample_rate: int
    entries: dict[str, Entry]
    train: list[Clip]
    held_out: list[Clip]

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
              kept: Kept | None = None) -> Catalogue:
    """Indexes `root`: a folder tree or one file (new files are decoded), or an fsspec URL of one (only headers are read).

    `held_out`: the fraction of files to hold out, at least one, drawn with `seed`; or names (stems or patterns).
    A lone file is split by region, its end held out behind a guard gap of a second.
    `cache`: folder; default the user's cache. `cache_gb`: GiB of a URL's audio kept there, in pieces of `chunk` samples.
    `kept`: the regions of a manifest; what lies outside them is neither trained on nor held out.
    Long silent stretches of local recordings are cut out, also within kept regions.
    Raises InputError with the reasons when no file is usable, or when the training or held-out side would be empty.
    """
    shown_root, entries, clips = usable(root, sample_rate, cache=cache, cache_gb=cache_gb, chunk=chunk)
    if kept is not None:
        clips = keep_regions(clips, kept, sample_rate, entries)
    clips = without_silence(root, clips, entries, sample_rate)
    if kept is not None:
        if not clips:
            raise InputError("all that it keeps is silent", where="data.manifest")
        kept_sources = {clip.source for clip in clips}
        entries = {name: entry if entry.skipped or name in kept_sources else
                   replace(entry, skipped="not kept by the manifest") for name, entry in entries.items()}
    train, held = split(clips, sample_rate, held_out, seed)
    return Catalogue(shown_root, sample_rate, entries, train, held)


def usable(root: str | Path, sample_rate: int, *, cache: str | Path | None = None, cache_gb: float = 20.0,
           chunk: int = remote.CHUNK) -> tuple[str, dict[str, Entry], list[Clip]]:
    """`root` without secrets, the entry of each file, and each usable file as one clip. Arguments: see `catalogue`."""
    folder = Path(cache).expanduser() if cache else default_cache()
    indexed: Iterable[tuple[str, Entry, Samples]]
    if is_url(root):
        shown_root = redact_url(str(root))
        indexed = remote.index(str(root), sample_rate, folder, limit=cache_gb * 2**30, chunk=chunk)
    else:
        shown_root = str(Path(root).expanduser())
        indexed = local.index(Path(shown_root), sample_rate, folder)
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


def split(clips: list[Clip], sample_rate: int, held_out: float | list[str], seed: int) -> tuple[list[Clip], list[Clip]]:
    """Splits clips into training and held-out ones, by file; a lone file is split by region."""
    if not isinstance(held_out, int | float):
        held_sources = named(held_out, [c.source for c in clips], "data.held_out: no usable file")
        held = [c for c in clips if c.source in held_sources]
        train = [c for c in clips if c.source not in held_sources]
        if not train or not held:
            raise InputError("it must leave files on both sides, to train on and to hold out", where="data.held_out")
        return train, held
    if not 0 < held_out < 1:
        raise InputError(f"{held_out} is not a fraction between 0 and 1", where="data.held_out")
    names = list(dict.fromkeys(clip.source for clip in clips))
    if len(names) == 1:
        return _split_lone(clips, sample_rate, held_out)
    count = min(max(1, round(held_out * len(names))), len(names) - 1)
    held_sources = {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:count]}
    return [c for c in clips if c.source not in held_sources], [c for c in clips if c.source in held_sources]


def named(patterns: Sequence[str], sources: Sequence[str], error: str) -> set[str]:
    """The `sources` that match by name, stem or pattern. Raises InputError, starting with `error`, if one has no match."""
    matched: set[str] = set()
    for pattern in patterns:
        matches = {pattern} & set(sources) or {
            s for s in sources if fnmatch.fnmatch(s, str(pattern)) or Path(s).stem == str(pattern)}
        if not matches:
            known = {n: s for s in sources for n in (s, Path(s).name, Path(s).stem)}
            near = dict.fromkeys(known[n] for n in difflib.get_close_matches(str(pattern), known, 6, 0.5))
            raise InputError(f"{error} is named {pattern!r}; " + (f"near it: {', '.join(list(near)[:3])}" if near else
                             f"there are {', '.join(sorted(set(sources))[:5])}{' ...' if len(set(sources)) > 5 else ''}"))
        matched |= matches
    return matched


def _split_lone(clips: list[Clip], sample_rate: int, fraction: float) -> tuple[list[Clip], list[Clip]]:
    """Holds out the end of one file, given by its ascending regions, behind a guard gap.

    A region of at most 10 s is not cut, unless more than a third of the file would then be held out.
    """
    total, held = sum(map(len, clips)), 0
    target = max(min(sample_rate, total // 4), round(fraction * total))
    for clip in reversed(clips):
        held += len(clip)
        if held >= target:
            break
    whole = len(clip) <= HIT * sample_rate and held <= total / 3
    start = clip.start if whole else clip.start + held - target
    end = start - round(GUARD * sample_rate)
    train = _part(clips, 0, end, sample_rate)
    if clips[-1].stop - clips[0].start < MIN_LONE_FILE_SECONDS * sample_rate or not train:
        raise InputError(f"{total / sample_rate:.1f} s of one file cannot be split into training and "
                         f"held-out parts; add a second file, or {MIN_LONE_FILE_SECONDS:.0f} s at least", where=clip.source)
    return train, _part(clips, start, clips[-1].stop, sample_rate)


def _part(clips: list[Clip], start: int, stop: int, sample_rate: int) -> list[Clip]:
    """The parts of the clips between two samples of their file, without those shorter than 20 ms."""
    cut = [replace(c, start=max(start, c.start), stop=min(stop, c.stop)) for c in clips]
    return [c for c in cut if c.stop - c.start >= audio.SHORTEST * sample_rate]


def _nothing_usable(root: str, entries: dict[str, Entry]) -> str:
    if not entries:
        return f"{root}: no audio files ({' '.join(sorted(SUFFIXES | MOVIES))})"
    reasons = [f"  {name}: {entry.skipped}" for name, entry in list(entries.items())[:15]]
    more = [f"  and {len(entries) - 15} more"] if len(entries) > 15 else []
    return "\n".join([f"{root}: none of its {len(entries)} audio files is usable:", *reasons, *more])


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "rave_lite"
