"""Recordings at an fsspec URL: headers are read at the start, samples in chunks when windows need them.

Storage options, keys and passwords come from fsspec's own configuration and environment.
"""

import fnmatch
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from rave_lite.data import audio, level, outputs
from rave_lite.data.audio import Entry
from rave_lite.data.network import RemoteError, RemoteFile, connected, parallel_map, redact_url, retry
from rave_lite.data.scan import is_audio, is_sound, unread
from rave_lite.data.store import Store
from rave_lite.errors import InputError
from rave_lite.files import write_json

CHUNK = 1 << 20  # samples: 24 s at 44.1 kHz, 4 MiB
HEADER, BODY = 1 << 16, 1 << 18  # bytes read at a time, for a header and for a chunk
VERSION = re.compile("size|etag|modif|mtime|updat|creat|generation|md5|sha|crc|date", re.I)  # fields that tell versions


@dataclass(frozen=True)
class File:
    """An audio file at a URL, in plain values for worker processes.

    `path`: in the file system of `root`; `url`: for messages, without secrets; `key`: identifies this version of the file.
    """

    root: str
    name: str
    path: str
    url: str
    key: str

    @contextmanager
    def opened(self, ahead: int) -> Iterator[audio.SoundFile]:
        """Opens the file, reading `ahead` bytes at a time. Raises UnreadableError for a broken file; network errors pass."""
        fs, _ = connected(self.root)
        with fs.open(self.path, "rb", block_size=ahead, cache_type="readahead") as raw:
            try:
                ranges = RemoteFile(raw)
            except ValueError as error:
                raise audio.UnreadableError("empty, or given only as a whole by its server", where=self.url) from error
            try:
                with audio.opened(ranges, self.url) as file:
                    yield file
            finally:
                if ranges.error:
                    raise ranges.error

    def entry(self, sample_rate: int) -> Entry:
        """The entry by the file's header. Raises RemoteError when it cannot be reached."""
        def read() -> Entry:
            with self.opened(HEADER) as file:
                samples = audio.length(file, sample_rate)
                return Entry(samples, file.samplerate, file.channels, audio.fault(samples / sample_rate),
                             notes=list(file.notes))

        try:
            return retry(read, self.url)
        except audio.UnreadableError as error:
            return Entry(0, 0, 0, error.what)


@dataclass(frozen=True)
class Chunked:
    """A remote file's samples at `sample_rate` Hz, decoded on demand in chunks of `size` samples, which `store` keeps.

    A chunk depends on the file and the chunk's number alone; of two channels the samples of a moment are side by side.
    """

    file: File
    samples: int
    sample_rate: int
    store: Store
    size: int
    channels: int = 1

    @property
    def content(self) -> str:
        return self.file.key

    def read(self, start: int, stop: int) -> np.ndarray:
        """Raises RemoteError naming the URL when the file is broken, changed or out of reach."""
        chunks = range(start // self.size, -(-stop // self.size))
        parts = (self._chunk(n)[max(0, start - n * self.size) : stop - n * self.size] for n in chunks)
        samples = np.concatenate([np.zeros((0, self.channels), np.float32), *parts])
        return samples[:, 0] if self.channels == 1 else samples.T.copy()

    def _chunk(self, number: int) -> np.ndarray:
        start, stop = number * self.size, min((number + 1) * self.size, self.samples)
        name = f"{self.file.key}-{self.sample_rate}{'x2' if self.channels == 2 else ''}-{self.size}-{number}.f32"
        try:
            count, decode = self.channels * (stop - start), lambda: retry(lambda: self._decode(start, stop), self.file.url)
            return self.store.get(name, count, decode).reshape(-1, self.channels)
        except audio.UnreadableError as error:
            raise RemoteError(f"{error.what}; repair that file or take it away, and start again", error.where) from error
        except InputError as error:
            raise RemoteError(error.what, error.where) from error

    def _decode(self, start: int, stop: int) -> np.ndarray:
        with self.file.opened(BODY) as file:
            if audio.length(file, self.sample_rate) != self.samples:
                raise audio.UnreadableError("changed since its header was read", where=self.file.url)
            samples = audio.excerpt(file, self.sample_rate, self.file.url, start, stop, self.channels).ravel()
        if level.scale_bits(audio.peak(samples)) != 0:
            raise audio.UnreadableError(f"peak of {audio.decibels(audio.peak(samples)):+.0f} dBFS", where=self.file.url)
        return samples


def index(root: str, sample_rate: int, folder: Path, *, limit: float,
          chunk: int = CHUNK, foreign: bool = False, channels: int = 1) -> Iterator[tuple[str, Entry, Chunked]]:
    """Yields the name, entry and samples of each audio file below a URL, or matching its pattern, or of the one file.

    `folder`: of the cache, for the headers and for `limit` bytes of samples, in chunks of `chunk` samples.
    Raises InputError when the URL cannot be read, or a package for it is missing.
    """
    if not limit > 0:
        raise InputError(f"{limit / 2**30:g} is no room; say 20", where="data.cache_gb")
    store = Store(folder / "chunks", limit)
    files, others = retry(lambda: find(root, foreign), root)
    memo = folder / f"headers-{digest(redact_url(root), sample_rate)}.json"
    for file, entry in zip(files, headers(connected(root)[0], files, sample_rate, memo), strict=True):
        yield file.name, entry, Chunked(file, entry.samples, sample_rate, store, chunk, channels)
    for name, reason in others.items():
        yield name, Entry(0, 0, 0, reason), Chunked(File(root, name, "", root, ""), 0, sample_rate, store, chunk)


def find(root: str, foreign: bool = False) -> tuple[list[File], dict[str, str]]:
    """The audio files at a URL, in the order of local ones, and by kind why others are left out.

    What rave_lite wrote is not among them (see `outputs.leave_out`).

    Raises FileNotFoundError when the URL does not exist.
    """
    fs, path = connected(root)
    folder, infos = listing(fs, path)
    names = {path: relative_name(path, folder) for path in infos}
    paths = [path for path, name in names.items()
             if is_audio(name.name, movies=False) and ".." not in name.parts]  # which would name outputs elsewhere
    others = unread([name.name for name in names.values() if not is_audio(name.name, movies=False)],
                    "copy them into a folder: at a URL they are not read")
    if len(infos) > 1:
        written = outputs.written(paths, infos.__contains__, lambda mark: fs.cat_file(mark).decode())
        recordings = [path for path in paths if path not in written]
        if recordings or not foreign:
            outputs.say([str(names[path]) for path in paths if path in written], redact_url(root), len(recordings))
            paths = recordings

    def file(path: str) -> File:
        url = redact_url(fs.unstrip_protocol(path)) + "".join(redact_url(root).partition("::")[1:])
        info = infos[path] if infos[path].get("size") is not None else fs.info(path)
        version = sorted((field, value) for field, value in info.items() if VERSION.search(field))
        return File(root, str(names[path]), path, url, digest(url, version))

    return list(parallel_map(fs, file, sorted(paths, key=lambda path: names[path]))), others


def listing(fs: Any, path: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """A folder, and by path the info of its files: all below `path`, those that match if it has a `*`, or `path` itself."""
    if is_sound(path.partition("?")[0]) and fs.isfile(path):
        return path.rpartition("/")[0], {path: fs.info(path)}
    folder = path.partition("*")[0].rpartition("/")[0] if "*" in path else path
    walk = fs.walk(folder, detail=True, on_error="raise")  # fs.find and fs.glob would skip folders that fail
    infos = {info["name"]: info for _, _, files in walk for info in files.values()}
    return folder, {name: info for name, info in infos.items() if "*" not in path or fnmatch.fnmatchcase(name, path)}


def relative_name(path: str, folder: str) -> PurePosixPath:
    name = path.removeprefix(folder).lstrip("/")
    return PurePosixPath(unquote(name.partition("?")[0]) if "://" in path else name)  # a path may be a URL itself


def headers(fs: Any, files: list[File], sample_rate: int, memo: Path) -> list[Entry]:
    """The files' entries; those read before come from the JSON file `memo`."""
    try:
        entries = {key: Entry(**entry) for key, entry in json.loads(memo.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        entries = {}
    unread = [file for file in files if file.key not in entries]
    try:
        for file, entry in zip(unread, parallel_map(fs, lambda file: file.entry(sample_rate), unread), strict=True):
            entries[file.key] = entry
    finally:  # also the headers read before an interruption
        if unread:
            write_json(memo, {key: asdict(entry) for key, entry in entries.items()})
    return [entries[file.key] for file in files]


def digest(*parts: Any) -> str:
    return hashlib.blake2b(json.dumps(parts, default=str).encode(), digest_size=16).hexdigest()
