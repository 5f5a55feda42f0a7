"""A folder of recordings, decoded once into a memory-mapped cache, and split into training and held-out clips."""

import fnmatch
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from rich.markup import escape
from rich.table import Table

from rave_lite.data import audio
from rave_lite.errors import InputError
from rave_lite.files import replacing

GUARD = 1.0  # s between the regions of a lone file
LONE = 4.0  # s that a lone file must last to be split


@dataclass(frozen=True)
class Clip:
    """Samples `start` to `stop` of a decoded recording: mono float32 in `cache`, whatever the source was."""

    source: str
    cache: Path
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples relative to the clip's own start."""
        stop = len(self) if stop is None else min(stop, len(self))
        return np.array(np.memmap(self.cache, np.float32, "r")[self.start + start : self.start + stop])


@dataclass(frozen=True)
class Entry:
    """What is known of one file: its length in samples at the cache's rate, and why it was skipped, if it was."""

    samples: int
    source_rate: int
    channels: int
    skipped: str | None = None


@dataclass
class Catalogue:
    """The usable recordings of a folder, as clips, and the verdict on every file. `sample_rate`: Hz."""

    root: Path
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
              cache: str | Path | None = None) -> Catalogue:
    """Index `root` (a folder tree or one file), decoding what is new. `cache`: folder; default the user's cache.

    `held_out`: the fraction of files to hold out, at least one, drawn with `seed`; or names (stems or patterns).
    A lone file is split by region, its end held out behind a guard gap of a second.
    Raises InputError when nothing is usable, with the reasons, or when nothing would be left on either side.
    """
    root = Path(root).expanduser()
    store = Cache(Path(cache).expanduser() if cache else default_cache(), sample_rate)
    entries: dict[str, Entry] = {}
    clips: list[Clip] = []
    for path in audio.find(root):
        name = str(path.relative_to(root)) if root.is_dir() else path.name
        entry, where = store.fetch(path)
        entries[name] = entry
        if entry.skipped is None:
            clips.append(Clip(name, where, 0, entry.samples))
    store.close()
    if not clips:
        raise InputError(_nothing_usable(root, entries))
    train, held = split(clips, sample_rate, held_out, seed)
    return Catalogue(root, sample_rate, entries, train, held)


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
    return [Clip(clip.source, clip.cache, 0, start - gap)], [Clip(clip.source, clip.cache, start, len(clip))]


def _nothing_usable(root: Path, entries: dict[str, Entry]) -> str:
    if not entries:
        return f"{root}: no audio files ({' '.join(sorted(audio.SUFFIXES))})"
    reasons = [f"  {name}: {entry.skipped}" for name, entry in list(entries.items())[:15]]
    more = [f"  and {len(entries) - 15} more"] if len(entries) > 15 else []
    return "\n".join([f"{root}: none of its {len(entries)} audio files is usable:", *reasons, *more])


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "rave_lite"


class Cache:
    """Decoded recordings by content: `HASH-RATE.f32`, its `Entry` beside it, and a memo from path to hash."""

    def __init__(self, folder: Path, sample_rate: int):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.sample_rate = folder, sample_rate
        self.memo_path = folder / "paths.json"
        try:
            self.memo: dict[str, list] = json.loads(self.memo_path.read_text())
        except (OSError, ValueError):
            self.memo = {}
        self.changed = False

    def fetch(self, path: Path) -> tuple[Entry, Path]:
        """The entry of a file and where its samples lie, decoding it unless that was done before."""
        where = self.folder / f"{self._hash(path)}-{self.sample_rate}.f32"
        note = where.with_suffix(".json")
        try:
            entry = Entry(**json.loads(note.read_text()))
            if entry.skipped is not None or where.stat().st_size == 4 * entry.samples:
                return entry, where
        except (OSError, ValueError, TypeError):
            pass
        entry = self._decode(path, where)
        with replacing(note) as aside:
            aside.write_text(json.dumps(asdict(entry)))
        return entry, where

    def close(self) -> None:
        if self.changed:
            with replacing(self.memo_path) as aside:
                aside.write_text(json.dumps(self.memo))

    def _hash(self, path: Path) -> str:
        status = path.stat()
        key, state = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        if self.memo.get(key, [])[:2] != state:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            self.memo[key] = [*state, digest]
            self.changed = True
        return self.memo[key][2]

    def _decode(self, path: Path, where: Path) -> Entry:
        samples, peak = 0, 0.0
        try:
            with replacing(where) as aside, aside.open("wb") as file:
                for block in audio.blocks(path, self.sample_rate):
                    mono = block.mean(1, dtype=np.float32)
                    file.write(mono.tobytes())
                    samples, peak = samples + len(mono), max(peak, float(np.abs(mono).max(initial=0)))
        except audio.UnreadableError as error:
            return Entry(0, 0, 0, str(error).removeprefix(f"{path}: "))
        info, fault = soundfile.info(path), _fault(samples / self.sample_rate, peak)
        if fault:
            where.unlink()
        return Entry(samples, info.samplerate, info.channels, fault)


def _fault(seconds: float, peak: float) -> str | None:
    if seconds < audio.SHORTEST:
        return f"shorter than {audio.SHORTEST * 1000:.0f} ms"
    return f"silent (peak below {20 * np.log10(audio.SILENCE):.0f} dBFS)" if peak < audio.SILENCE else None

