"""Recordings at URLs: the same clips and windows as from a folder, read in part, kept within a bound, by many at once."""

import functools
import gc
import multiprocessing
import os
import re
import shutil
import threading
import time
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile
import torch
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from rave_lite import InputError
from rave_lite.data import Windows, audio, catalogue, network, redact_url, resolve_root
from rave_lite.data.module import Recordings
from rave_lite.data.network import RemoteFile, is_url
from rave_lite.data.store import ABANDONED, Store
from tests.sounds import broken, printed

CHUNK = 4096  # samples, 16 KiB
PAIRS = [("wav", 44100), ("flac", 44100), ("ogg", 44100), ("mp3", 44100), ("wav", 48000), ("flac", 96000), ("aiff", 22050),
         ("mp3", 32000), ("wav", 8000)]


class CountedFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        Counted.reads.append(end - start)
        if Counted.faults and (fault := Counted.faults.pop(0)):
            raise fault
        with Path(self.path).open("rb") as file:
            file.seek(start)
            return file.read(end - start)[: Counted.short]


class Counted(AbstractFileSystem):
    """A file system of local files read in ranges, as remote ones are: counts bytes, and raises the errors in `faults`."""

    protocol = "counted"
    reads: list[int] = []
    faults: list[BaseException | None] = []
    short: int | None = None

    def ls(self, path, detail=True, **_):
        local_path = Path(self._strip_protocol(path))
        paths = sorted(local_path.iterdir()) if local_path.is_dir() else [local_path]
        return [{"name": str(p), "size": p.stat().st_size, "type": "directory" if p.is_dir() else "file",
                 "mtime": p.stat().st_mtime_ns} for p in paths]

    def _open(self, path, mode="rb", block_size=None, cache_type="readahead", **_):
        return CountedFile(self, path, mode, block_size, cache_type=cache_type)


fsspec.register_implementation("counted", Counted, clobber=True)


class RangeHandler(SimpleHTTPRequestHandler):
    """A web server that sends parts of files, which Python's own cannot."""

    def send_head(self):
        path, requested = Path(self.translate_path(self.path)), self.headers.get("Range")
        if not requested or not path.is_file():
            return super().send_head()
        first, last = map(int, re.match(r"bytes=(\d+)-(\d+)", requested).groups())
        content = path.read_bytes()[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{path.stat().st_size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(Counted, "reads", [])
    monkeypatch.setattr(Counted, "faults", [])
    monkeypatch.setattr(Counted, "short", None)
    pauses: list[float] = []
    monkeypatch.setattr(network.time, "sleep", pauses.append)
    return pauses


@pytest.fixture
def folder(write) -> Path:
    """A tree of nine files in all formats and rates."""
    for i, (suffix, rate) in enumerate(PAIRS):
        write(f"{'deep-er' if i % 2 else 'deep'}/[{i}] é.{suffix}", 0.3 + 0.11 * i, rate=rate, channels=1 + i % 2)
    path = write("blip.wav", 0.01).parent
    broken("text", write)
    (path / ".hidden.wav").write_bytes(b"")
    (path / "notes.txt").write_text("no audio")
    return path


@pytest.fixture
def url_of(tmp_path):
    """A function from kind and folder to a URL; what it sets up is undone after the test."""
    undo = []

    def make(kind: str, folder: Path) -> str:
        if kind == "memory":
            fsspec.filesystem("memory").put(str(folder), "/set", recursive=True)
            undo.append(lambda: fsspec.filesystem("memory").rm("/set", recursive=True))
            return "memory://set"
        if kind == "zip":
            return f"zip://*::file://{shutil.make_archive(str(tmp_path / 'set'), 'zip', folder)}"
        if kind == "http":
            pytest.importorskip("aiohttp")
            server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(RangeHandler, directory=folder))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            undo.extend([server.shutdown, server.server_close])
            return f"http://127.0.0.1:{server.server_port}/"
        return f"{kind}://{folder}"

    yield make
    for step in undo:
        step()


def windows(recordings, length: int = 8192) -> list[np.ndarray]:
    dataset = Windows(recordings.train, length=length, sample_rate=recordings.sample_rate, gap=0.01)
    return [dataset[i].numpy() for i in range(40)]


def cached_bytes(cache: Path) -> int:
    return sum(path.stat().st_size for path in (cache / "chunks").iterdir())


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ["file", "memory", "zip", "counted", "http"])
def test_the_same_as_from_the_folder(folder, url_of, tmp_path, kind):
    url = url_of(kind, folder)
    near = catalogue(folder, 44100, cache=tmp_path / "near")
    far = catalogue(url, 44100, cache=tmp_path / "far", chunk=CHUNK)
    assert far.entries == near.entries
    assert list(far.entries) == list(near.entries)
    assert printed(far) == printed(near)
    for a, b in zip(near.train + near.held_out, far.train + far.held_out, strict=True):
        assert (a.source, a.start, a.stop) == (b.source, b.start, b.stop)
        x, y = a.read(), b.read()
        if near.entries[a.source].source_rate == 44100:
            assert np.array_equal(x, y), a.source
        assert y == pytest.approx(x, abs=1e-5), a.source
        assert np.array_equal(b.read(CHUNK - 5, CHUNK + 5), y[CHUNK - 5 : CHUNK + 5])
        assert b.read(7, 7).shape == (0,)
    assert all(np.abs(x - y).max() < 1e-5 for x, y in zip(windows(near), windows(far), strict=True))


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000, 192000, 44099])
@pytest.mark.parametrize("chunk", [1000, 30011])
def test_chunks_join_without_a_seam(write, tmp_path, rate, chunk):
    path = write("noise.wav", samples=np.random.default_rng(0).uniform(-0.5, 0.5, rate * 5), rate=rate, subtype="FLOAT")
    whole = audio.mono(audio.load(path, 44100).T)
    recordings = catalogue(f"file://{path}", 44100, cache=tmp_path / "cache", chunk=chunk)
    for clip in recordings.train + recordings.held_out:
        assert np.abs(clip.read() - whole[clip.start : clip.stop]).max() < (1e-4 if rate == 44099 else 2e-6)


def test_one_file_and_patterns(folder, url_of, tmp_path, write):
    long = write("alone.wav", 5.0, rate=48000)
    for kind in ("file", "http", "zip"):
        url = url_of(kind, folder)
        at = url.replace("*", "alone.wav") if kind == "zip" else f"{url.rstrip('/')}/alone.wav"
        near, far = (catalogue(place, 44100, cache=tmp_path / "cache", chunk=CHUNK) for place in (long, at))
        assert near.entries == far.entries
        assert far.held_out[0].read() == pytest.approx(near.held_out[0].read(), abs=1e-5)
    signed = catalogue(f"{url_of('http', folder)}alone.wav?token=secret", 44100, cache=tmp_path / "cache")
    assert signed.entries == far.entries
    assert "secret" not in signed.summary() + str(list(tmp_path.rglob("*.json")))
    matching = catalogue(f"file://{folder}/deep/*.wav", 44100, cache=tmp_path / "cache")
    assert list(matching.entries) == ["[0] é.wav", "[4] é.wav", "[8] é.wav"]


def test_nothing_is_decoded_at_the_start_nor_read_twice(folder, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(audio, "decode", lambda *_: pytest.fail("decoded"))
        first = catalogue(f"counted://{folder}", 44100, cache=tmp_path / "cache")
    assert Counted.reads
    Counted.reads.clear()
    again = catalogue(f"counted://{folder}", 44100, cache=tmp_path / "cache")
    assert again == first
    assert not Counted.reads
    soundfile.write(folder / "blip.wav", np.full(9000, 0.25), 44100)  # now long enough
    changed = catalogue(f"counted://{folder}", 44100, cache=tmp_path / "cache")
    assert changed.entries["blip.wav"].samples == 9000
    assert 0 < sum(Counted.reads) < 20000
    for memo in (tmp_path / "cache").glob("headers-*.json"):
        memo.write_text("[1")
    assert catalogue(f"counted://{folder}", 44100, cache=tmp_path / "cache") == changed


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_of_a_long_file_only_the_needed_part_is_read(write, tmp_path, suffix):
    path, chunk = write(f"long.{suffix}", 0.1, channels=2), 1 << 17
    with soundfile.SoundFile(path, "w", 44100, 2) as file:
        for block in np.random.default_rng(0).uniform(-0.5, 0.5, (90, 44100, 2)):  # libsndfile dies of more ogg at once
            file.write(block)
    recordings = catalogue(f"counted://{path}", 44100, cache=tmp_path / "cache", chunk=chunk)
    assert sum(Counted.reads) < 200_000  # bytes, of a header
    Counted.reads.clear()
    recordings.train[0].read(20 * chunk + 5, 20 * chunk + 5000)
    per_chunk = path.stat().st_size * chunk / (90 * 44100)
    assert sum(Counted.reads) < per_chunk + 4 * 2**18  # seeking, and reading ahead
    assert sum(Counted.reads) < path.stat().st_size / 2
    Counted.reads.clear()
    recordings.train[0].read(20 * chunk + 70, 21 * chunk)
    assert not Counted.reads


def test_the_bound_is_kept_and_the_sound_is_the_same_cold_or_warm(folder, tmp_path):
    bound = 6 * 4 * CHUNK
    options = {"cache_gb": bound / 2**30, "chunk": CHUNK}
    roomy = catalogue(f"file://{folder}", 44100, cache=tmp_path / "roomy", chunk=CHUNK)
    tight = catalogue(f"file://{folder}", 44100, cache=tmp_path / "tight", **options)
    catalogue(folder, 44100, cache=tmp_path / "tight")
    decoded = set((tmp_path / "tight").glob("*.f32"))
    expected = windows(roomy)
    assert cached_bytes(tmp_path / "roomy") > 2 * bound
    for _ in range(2):
        dataset = Windows(tight.train, length=8192, sample_rate=44100, gap=0.01)
        for i in range(40):
            assert np.array_equal(dataset[i].numpy(), expected[i])
            assert 0 < cached_bytes(tmp_path / "tight") <= bound
    assert set((tmp_path / "tight").glob("*.f32")) == decoded  # what plain paths need stays
    assert all(np.array_equal(x, y) for x, y in zip(windows(roomy), expected, strict=True))


def test_the_least_recently_used_makes_room(tmp_path):
    store, computed = Store(tmp_path, 3 * 400), []

    def get(name: str) -> np.ndarray:
        time_passes()
        return store.get(name, 100, lambda: computed.append(name) or np.full(100, ord(name), np.float32))

    def time_passes() -> None:
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_mtime - 10,) * 2)

    abandoned, writing = tmp_path / ".x.1", tmp_path / ".y.2"
    abandoned.write_bytes(b"half")
    writing.write_bytes(bytes(4000))
    os.utime(abandoned, (time.time() - 2 * ABANDONED,) * 2)
    mapped = get("a")
    for name in "bca":
        get(name)
    held = get("a")
    assert computed == list("abc")
    get("d")  # in the place of b
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c", "d", ".y.2"}
    (tmp_path / "c").write_bytes(b"damaged")
    assert (get("c") == ord("c")).all()
    get("e")
    get("f")
    assert not (tmp_path / "a").exists()
    assert (held == ord("a")).all()  # still mapped
    assert (mapped == ord("a")).all()
    Store(tmp_path, 1).get("g", 100, lambda: np.zeros(100, np.float32))
    assert {path.name for path in tmp_path.iterdir()} == {"g", ".y.2"}  # the newest stays, whatever the bound


def reader(url: str, cache: Path, seed: int, expected: dict[str, np.ndarray], queue) -> None:
    recordings = catalogue(url, 44100, cache=cache, cache_gb=3 * 4 * CHUNK / 2**30, chunk=CHUNK)
    rng, clips = np.random.default_rng(seed), recordings.train + recordings.held_out
    for _ in range(80):
        clip = clips[rng.integers(len(clips))]
        start = int(rng.integers(len(clip)))
        if not np.array_equal(clip.read(start, start + 6000), expected[clip.source][start : start + 6000]):
            queue.put(f"{clip.source} at {start}")
    queue.put(None)


@pytest.mark.parametrize("kind", ["file", "zip"])
def test_many_processes_share_a_cache(folder, url_of, tmp_path, kind):
    url = url_of(kind, folder)
    alone = catalogue(url, 44100, cache=tmp_path / "alone", chunk=CHUNK)
    expected = {clip.source: clip.read() for clip in alone.train + alone.held_out}
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    started = [context.Process(target=reader, args=(url, tmp_path / "shared", seed, expected, queue)) for seed in range(4)]
    for process in started:
        process.start()
    assert [queue.get(timeout=60) for _ in started] == [None] * 4
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 4
    assert 0 < cached_bytes(tmp_path / "shared") <= 3 * 4 * CHUNK


@pytest.mark.parametrize("kind", ["zip", "http"])
def test_worker_processes(folder, url_of, tmp_path, kind):
    """The parent has the archive or the connection open when they fork."""
    recordings = catalogue(url_of(kind, folder), 44100, cache=tmp_path / "cache", chunk=CHUNK,
                           cache_gb=6 * 4 * CHUNK / 2**30)
    recordings.train[0].read()
    data = [Recordings(recordings, window=8192, batch_size=4, gap=0.01, seed=0, workers=workers) for workers in (0, 2)]
    for _, alone, workers in zip(range(6), *(part.train_dataloader() for part in data), strict=False):
        assert torch.equal(alone, workers)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_breaks_late_is_named_in_a_line(write, tmp_path, workers, monkeypatch):
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)  # s that torch waits for a failed worker
    samples = np.full(44100, 0.25, np.float32)
    samples[30000] = np.nan
    write("bad.wav", samples=samples, subtype="FLOAT")
    recordings = catalogue(f"file://{write('good.wav').parent}", 44100, cache=tmp_path / "cache", held_out=["good"])
    data = Recordings(recordings, window=65536, batch_size=1, gap=0.0, seed=0, workers=workers)
    with pytest.raises(InputError) as error:
        next(iter(data.train_dataloader()))
    assert str(error.value) == (f"file://{tmp_path}/audio/bad.wav: NaN or infinite samples, the first at 0.680 s; repair "
                                "that file or take it away, and start again")
    del error
    gc.collect()  # ends the worker


def test_what_is_cut_short_or_changed_is_named(write, tmp_path):
    for name in ("half.flac", "new.wav"):
        write(name, 3.0)
    half = tmp_path / "audio" / "half.flac"
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    recordings = catalogue(f"file://{tmp_path / 'audio'}", 44100, cache=tmp_path / "cache", held_out=["half"], chunk=CHUNK)
    write("new.wav", 2.0)
    assert len(recordings.held_out[0].read(0, CHUNK)) == CHUNK
    for clip, reason in ((recordings.held_out[0], "half.flac: (truncated|not readable)"),
                         (recordings.train[0], "new.wav: changed")):
        with pytest.raises(InputError, match=f"^file://.*{reason}.*repair that file or take it away"):
            clip.read(len(clip) - 5)


def test_the_network_may_fail_a_few_times(write, tmp_path, fresh):
    path = write("a.wav", 5.0)
    expected = catalogue(path, 44100, cache=tmp_path / "cache").train[0].read()
    Counted.faults[:] = [OSError("reset"), TimeoutError()]
    recordings = catalogue(f"counted://{path}", 44100, cache=tmp_path / "cache", chunk=1 << 15)
    assert fresh == list(network.PAUSES[:2])
    Counted.faults[:] = [RuntimeError("whatever a library raises")]
    assert np.array_equal(recordings.train[0].read(), expected)
    Counted.faults[:] = [OSError("reset by https://me:word@host/a?token=abc")] * 20
    with pytest.raises(InputError, match=r"^counted:/.*a\.wav: could not be read \(OSError: reset by https://me@host/a\?"):
        recordings.held_out[0].read()
    assert len(Counted.faults) == 20 - len(network.PAUSES) - 1
    Counted.faults[:] = [PermissionError("no")]
    with pytest.raises(InputError, match="could not be read"):
        recordings.held_out[0].read()
    Counted.faults[:] = [KeyboardInterrupt()]  # soundfile alone would swallow it
    with pytest.raises(KeyboardInterrupt):
        recordings.held_out[0].read()
    Counted.short = 100
    with pytest.raises(InputError, match="could not be read"):
        recordings.held_out[0].read()
    Counted.short = None
    assert len(recordings.held_out[0].read()) == 44100


def test_headers_learnt_before_an_interruption_are_kept(write, tmp_path):
    for i in range(4):
        write(f"{i}.wav", 0.3)
    Counted.faults[:] = [None, None, None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        catalogue(f"counted://{tmp_path / 'audio'}", 44100, cache=tmp_path / "cache")
    Counted.reads.clear()
    catalogue(f"counted://{tmp_path / 'audio'}", 44100, cache=tmp_path / "cache")
    assert len(Counted.reads) == 1


def test_places_that_cannot_be(write, tmp_path, url_of):
    def fails(url: str, message: str, **options) -> None:
        with pytest.raises(InputError, match=message):
            catalogue(url, 44100, cache=tmp_path / "cache", **options)

    hidden = write("a.wav").parent
    fails(f"file://{tmp_path}/nowhere", r"^file:///.*nowhere: no such file or folder$")
    fails(f"zip://*::file://{tmp_path}/no.zip", r"no\.zip: no such file or folder")
    fails("memory://nowhere", "memory://nowhere: no such file or folder")
    fails("nonsense://x", "nonsense://x: Protocol not known: nonsense")
    fails(f"file://{hidden}", "is no room", cache_gb=0)
    fails(f"file://{hidden}", "cannot be split")
    fails(f"file://{tmp_path}/cache", "no audio files")
    shutil.rmtree(hidden)
    broken("text", write)
    fails(f"file://{hidden}", r"none of its 1 audio files is usable:\n.*broken\.wav: not readable as audio")
    fails("http://127.0.0.1:9/x/", r"http://127\.0\.0\.1:9/x/: could not be read")
    fails(f"{url_of('http', hidden)}nowhere/", "nowhere/: no such file or folder")
    (hidden / "broken.wav").write_bytes(b"")
    fails(url_of("http", hidden), "empty, or given only as a whole")


@pytest.mark.parametrize(("url", "package"), [("s3://bucket/x", "s3fs"), ("gs://bucket", "gcsfs"),
                                              ("zip://*::s3://bucket/x.zip", "s3fs")])
def test_the_missing_package_is_named(url, package, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(InputError, match=f"{re.escape(url)}: .*[Ii]nstall {package}"):
        catalogue(url, 44100, cache=tmp_path / "cache")


def test_an_archive_cannot_name_outputs_elsewhere(write, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("a.wav", "b.wav", "../../c.wav"):
            archive.write(write("x.wav"), name)
    assert set(catalogue(f"zip://::file://{tmp_path}/x.zip", 44100, cache=tmp_path / "cache").entries) == {"a.wav", "b.wav"}


def test_urls_and_paths():
    assert all(map(is_url, ["s3://b/x", "zip://*::file:///x.zip", "simplecache::s3://b", "HTTP://h", "git+ssh://x"]))
    assert not any(map(is_url, ["/a/b", "~/x", "../x", "C:/x", "take::2", Path("s3://b"), "a b://c"]))
    assert resolve_root("s3://b/../x") == "s3://b/../x"
    assert resolve_root("x") == str(Path.cwd() / "x")


@pytest.mark.parametrize(("url", "shown"), [
    ("https://me:word@host:80/a", "https://me@host:80/a"), ("ftp://me:w@rd@host/a", "ftp://me@host/a"),
    ("zip://*::https://me:word@host/a.zip", "zip://*::https://me@host/a.zip"),
    ("https://h/a?v=1&X-Amz-Signature=ab%2F&sig=c", "https://h/a?v=1&X-Amz-Signature=***&sig=***"),
    ("https://h:80/a@b:c", "https://h:80/a@b:c"), ("s3://bucket/a:b@c", "s3://bucket/a:b@c"), ("/a/b", "/a/b")])
def test_secrets_are_masked(url, shown):
    assert redact_url(url) == shown


def test_a_file_seen_through_ranges_is_the_file(write):
    path = write("a.flac", 0.5)
    with path.open("rb") as raw:
        assert np.array_equal(soundfile.read(RemoteFile(raw))[0], soundfile.read(path)[0])
