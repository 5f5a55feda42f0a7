"""Recordings in a folder, decoded once into a memory-mapped cache."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from rave_lite.data import audio, level
from rave_lite.data.audio import Entry
from rave_lite.data.scan import find
from rave_lite.data.silence import LevelMeter
from rave_lite.errors import InputError
from rave_lite.files import replacing, write_json


@dataclass(frozen=True)
class Decoded:
    """The samples of a decoded recording in one file, mono float32."""

    path: Path

    def read(self, start: int, stop: int) -> np.ndarray:
        return np.array(np.memmap(self.path, np.float32, "r")[start:stop])


def index(root: Path, sample_rate: int, folder: Path) -> Iterator[tuple[str, Entry, Decoded]]:
    """Yields the name, entry and samples of each audio file of a folder tree (or of one file), decoding new files.

    Folders and links that cannot be read have an entry, too. `folder`: of the cache. Raises InputError when `root` does not
    exist or may not be read.
    """
    store = Cache(folder, sample_rate)
    paths, left_out = find(root)
    for path in paths:
        entry, samples_path = store.fetch(path)
        yield str(path.relative_to(root)) if root.is_dir() else path.name, entry, Decoded(samples_path)
    for name, reason in left_out.items():
        yield name, Entry(0, 0, 0, reason), Decoded(folder)
    store.close()


class Cache:
    """Caches decoded recordings by content: `HASH-RATE.f32`, its `Entry` as JSON beside it, and a memo from path to hash."""

    def __init__(self, folder: Path, sample_rate: int):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: could not be made ({error.strerror}); say another", where="data.cache") from error
        self.folder, self.sample_rate = folder, sample_rate
        self.memo_path = folder / "paths.json"
        try:
            self.memo: dict[str, list] = json.loads(self.memo_path.read_text())
        except (OSError, ValueError):
            self.memo = {}
        self.changed = False

    def fetch(self, path: Path) -> tuple[Entry, Path]:
        """The entry of a file and the path of its samples, decoding it unless it is in the cache."""
        try:
            samples_path = self.folder / f"{self._hash(path)}-{self.sample_rate}.f32"
        except OSError as error:
            return Entry(0, 0, 0, f"may not be read ({error.strerror})"), path
        entry_path = samples_path.with_suffix(".json")
        try:
            fields = json.loads(entry_path.read_text())
            entry = Entry(**fields)
            if entry.skipped is None and samples_path.stat().st_size != 4 * entry.samples:
                entry, fields = self._decode(path, samples_path), {}
            elif entry.skipped is None and "silent" not in fields:  # written by an older version
                entry, fields = replace(entry, silent=self._silent(samples_path)), {}
        except (OSError, ValueError, TypeError):
            entry, fields = self._decode(path, samples_path), {}
        if not fields:
            write_json(entry_path, asdict(entry))
        return entry, samples_path

    def close(self) -> None:
        if self.changed:
            with suppress(InputError):  # a cache that others may only read
                write_json(self.memo_path, self.memo)

    def _hash(self, path: Path) -> str:
        status = path.stat()
        key, state = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        if self.memo.get(key, [])[:2] != state:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            self.memo[key] = [*state, digest]
            self.changed = True
        return self.memo[key][2]

    def _decode(self, path: Path, samples_path: Path) -> Entry:
        clipped_counts: list[int] = []
        try:
            with (audio.opened(path, str(path)) as source, replacing(samples_path) as aside, aside.open("wb+") as file):
                decoded = audio.decode(source, self.sample_rate, str(path),
                                       watch=lambda block: clipped_counts.append(level.clipped(block)))
                meter = LevelMeter(self.sample_rate)
                for block in map(audio.mono, decoded):
                    file.write(block.tobytes())
                    meter.add(block)
                correct, peak = level.correction(meter), meter.peak
                if correct:
                    file.flush()
                    samples, meter = np.memmap(file, np.float32, "r+"), LevelMeter(self.sample_rate)
                    for start in range(0, len(samples), audio.BLOCK):
                        block = samples[start : start + audio.BLOCK] = correct(samples[start : start + audio.BLOCK])
                        meter.add(block)
        except audio.UnreadableError as error:
            return Entry(0, 0, 0, error.what)
        fault = audio.fault(meter.samples / self.sample_rate, meter.peak)
        notes = [*source.notes, *correct.notes(peak)]
        if fault:
            samples_path.unlink()
        return Entry(meter.samples, source.samplerate, source.channels, fault, [] if fault else meter.silent(), notes,
                     0 if correct.bits else sum(clipped_counts))

    def _silent(self, samples_path: Path) -> list[list[int]]:
        """The silent stretches of a decoded recording."""
        meter, samples = LevelMeter(self.sample_rate), np.memmap(samples_path, np.float32, "r")
        for start in range(0, len(samples), audio.BLOCK):
            meter.add(samples[start : start + audio.BLOCK])
        return meter.silent()
