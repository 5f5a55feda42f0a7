"""Recordings in a folder, decoded once into a memory-mapped cache."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rave_lite.data import audio, level, outputs
from rave_lite.data.audio import Entry
from rave_lite.data.scan import find
from rave_lite.data.silence import LevelMeter
from rave_lite.data.store import ABANDONED
from rave_lite.errors import InputError
from rave_lite.files import replacing, write_json
from rave_lite.progress import Progress

VERSION = 2  # of the cache: raise it where other samples or entries come from the same file
PACK_BYTES, PACK_FILES = 1 << 25, 2000  # most of the files that are decoded into one file; a larger one is alone


@dataclass(frozen=True)
class Decoded:
    """The samples of a decoded recording, float32, in a file from number `first` on, those of a moment side by side.

    `content`: hash of its source.
    """

    path: Path
    first: int = 0
    content: str = ""
    channels: int = 1

    def read(self, start: int, stop: int) -> np.ndarray:
        first, last = (self.first + self.channels * at for at in (start, stop))
        samples = np.memmap(self.path, np.float32, "r")[first:last]
        return np.array(samples if self.channels == 1 else samples.reshape(-1, self.channels).T, order="C")


def index(root: Path, sample_rate: int, folder: Path, foreign: bool = False,
          channels: int = 1) -> Iterator[tuple[str, Entry, Decoded]]:
    """Yields the name, entry and samples of each audio file of a folder tree (or of one file), decoding new files.

    What cannot be read has an entry, too; what rave_lite wrote is left out (`foreign`: see `outputs.leave_out`). `folder`:
    of the cache. Raises InputError when `root` does not exist or may not be
    read, or the cache cannot be written.
    """
    paths, left_out = find(root)
    paths = outputs.leave_out(paths, root, foreign)
    cache = Cache(folder, sample_rate, channels)
    for path, (entry, samples) in zip(paths, cache.fetch(paths), strict=True):
        yield str(path.relative_to(root)) if root.is_dir() else path.name, entry, samples
    for name, reason in left_out.items():
        yield name, Entry(0, 0, 0, reason), Decoded(folder)


class StoppedError(Exception):
    """Ends a thread that decodes, after an error in another or an interruption."""


class Cache:
    """Decoded recordings by content, many in one file, a pack; and a memo from path to hash.

    A pack is `VERSION-RATE-HASH.f32`, of two channels `VERSION-RATEx2-HASH.f32`, with the places and entries of its
    recordings in a JSON file beside it. It is written
    once and never changed, and its name tells its content: processes may share the folder, and one that is killed leaves at
    most half a pack, which no JSON file speaks of.
    """

    def __init__(self, folder: Path, sample_rate: int, channels: int = 1):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            names = sorted(path.name for path in folder.iterdir())
        except OSError as error:
            raise InputError(f"{folder}: could not be made ({error.strerror}); say another", where="data.cache") from error
        self.folder, self.sample_rate, self.channels = folder, sample_rate, channels
        self.prefix = f"{VERSION}-{sample_rate}{'x2' if channels == 2 else ''}-"
        self.recordings: dict[str, tuple[Entry, Decoded]] = {}
        for name in names:
            if name.startswith(self.prefix) and name.endswith(".json"):
                self._load(folder / name)
            elif name.startswith(f".{VERSION}-"):
                with suppress(OSError):  # half a pack of a killed process
                    if (folder / name).stat().st_mtime < time.time() - ABANDONED:
                        (folder / name).unlink()
        self.memo_path = folder / "paths.json"
        try:
            self.memo: dict[str, list] = json.loads(self.memo_path.read_text())
        except (OSError, ValueError):
            self.memo = {}
        self.claimed: set[str] = set()
        self.lock, self.stopped = threading.Lock(), threading.Event()

    def fetch(self, paths: list[Path]) -> list[tuple[Entry, Decoded]]:
        """The entry and the samples of each file; new files are decoded, several at a time, and shown as they are."""
        sources = [Source(path, self.memo) for path in paths]
        new = [source for source in sources if not source.fault and source.content not in self.recordings]
        if new:
            self._decode_all(new)
        unread = Decoded(self.folder)
        return [(Entry(0, 0, 0, s.fault), unread) if s.fault else self.recordings[s.content] for s in sources]

    def _decode_all(self, sources: "list[Source]") -> None:
        with (Progress("reading recordings", len(sources), sum(source.size for source in sources)) as progress,
              ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool):
            tasks = [pool.submit(self._pack, batch, progress) for batch in batches(sources)]
            try:
                for task in as_completed(tasks):
                    self.recordings |= task.result()
            except BaseException:  # an interruption, too: the threads end with their next block
                self.stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                self.memo |= {source.key: [source.size, source.time, source.content] for source in sources if source.content}
                with suppress(InputError):  # a cache that others may only read
                    write_json(self.memo_path, self.memo)

    def _pack(self, sources: "list[Source]", progress: Progress) -> dict[str, tuple[Entry, Decoded]]:
        """Decodes those of some files that are new into one pack."""
        claimed = {}
        for source in sources:
            source.hash()
            with self.lock:
                if source.content and source.content not in self.recordings and source.content not in self.claimed:
                    self.claimed.add(source.content)
                    claimed[source.content] = source
            if source.content not in claimed:
                progress.advance(source.size, 1)
        if not claimed:
            return {}
        path = self.folder / f"{self.prefix}{hashlib.blake2b(repr(list(claimed)).encode(), digest_size=16).hexdigest()}.f32"
        places: dict[str, tuple[int, Entry]] = {}
        with replacing(path) as aside, aside.open("wb+") as file:
            for content, source in claimed.items():
                first = file.tell() // 4
                places[content] = first, self._decode(source, file, progress)
                entry = places[content][1]
                file.seek(4 * (first + self.channels * entry.samples * (entry.skipped is None)))
                file.truncate()
                progress.advance(0, 1)
            size = file.tell()
        write_json(path.with_suffix(".json"), {"bytes": size, "recordings": {
            content: [first, vars(entry)] for content, (first, entry) in places.items()}})
        return {content: (entry, Decoded(path, first, content, self.channels)) for content, (first, entry) in places.items()}

    def _load(self, note: Path) -> None:
        """Adds the recordings of the pack that a JSON file describes, unless one of the two is damaged."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            pack, path = json.loads(note.read_text()), note.with_suffix(".f32")
            if path.stat().st_size == pack["bytes"]:
                self.recordings |= {content: (Entry(**fields), Decoded(path, first, content, self.channels))
                                    for content, (first, fields) in pack["recordings"].items()}

    def _decode(self, source: "Source", file: BinaryIO, progress: Progress) -> Entry:
        """Appends the samples of a file to a pack, with right levels."""
        first, clipped_counts, done = file.tell(), list[int](), 0.0

        def watch(block: np.ndarray) -> None:
            nonlocal done
            if self.stopped.is_set():
                raise StoppedError
            clipped_counts.append(level.clipped(block))
            share = min(1.0 - done, len(block) / sound.frames)
            done += share
            progress.advance(share * source.size)

        try:
            with audio.opened(source.path, str(source.path)) as sound:
                meter = LevelMeter(self.sample_rate)
                for block in audio.decode(sound, self.sample_rate, str(source.path), watch=watch):
                    write(file, audio.folded(block, self.channels))
                    meter.add(audio.mono(block))
                correct, peak = level.correction(meter), meter.peak
        except audio.UnreadableError as error:
            return Entry(0, 0, 0, error.what)
        finally:
            progress.advance((1 - done) * source.size)
        if correct:
            meter = corrected(file, first, correct, LevelMeter(self.sample_rate), self.channels)
        fault = audio.fault(meter.samples / self.sample_rate, meter.peak)
        return Entry(meter.samples, sound.samplerate, sound.channels, fault, [] if fault else meter.silent(),
                     [*sound.notes, *correct.notes(peak)], 0 if correct.bits else sum(clipped_counts))


def write(file: BinaryIO, block: np.ndarray) -> None:
    """Appends samples. Raises RuntimeError when the disk is full: an OSError would be taken for one of the file read."""
    try:
        file.write(block.tobytes())
    except OSError as error:
        raise RuntimeError(error.strerror) from error


def corrected(file: BinaryIO, first: int, correct: Callable[[np.ndarray], np.ndarray], meter: LevelMeter,
              channels: int = 1) -> LevelMeter:
    """Corrects the samples in `file` from byte `first` to its end, and measures them."""
    file.seek(first)
    while content := file.read(4 * audio.BLOCK):
        block = correct(np.frombuffer(content, np.float32))
        file.seek(-len(content), os.SEEK_CUR)
        file.write(block.tobytes())
        meter.add(audio.mono(block.reshape(-1, channels)))
    return meter


class Source:
    """A file to be read. `content`: the hash of its bytes, empty until it is known; `fault`: why it may not be read."""

    def __init__(self, path: Path, memo: dict[str, list]):
        self.path, self.key, self.size, self.time, self.content, self.fault = path, str(path.absolute()), 0, 0, "", ""
        try:
            status = path.stat()
        except OSError as error:
            self.fault = f"may not be read ({error.strerror})"
            return
        self.size, self.time = status.st_size, status.st_mtime_ns
        known = memo.get(self.key)
        self.content = known[2] if known and known[:2] == [self.size, self.time] else ""

    def hash(self) -> None:
        if self.content:
            return
        try:
            with self.path.open("rb") as file:
                self.content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            self.fault = f"may not be read ({error.strerror})"


def batches(sources: list[Source]) -> Iterator[list[Source]]:
    """Parts of a list, in order, each at most a pack."""
    batch, size = list[Source](), 0
    for source in sources:
        if batch and (size + source.size > PACK_BYTES or len(batch) == PACK_FILES):
            yield batch
            batch, size = [], 0
        batch.append(source)
        size += source.size
    if batch:
        yield batch
