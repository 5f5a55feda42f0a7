"""The cache: many recordings in few files, shared by processes, whole again after kills and full disks."""

import errno
import multiprocessing
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from rave_lite import InputError, progress
from rave_lite.data import Catalogue, catalogue, local
from rave_lite.data.store import ABANDONED
from rave_lite.progress import Progress
from tests.conftest import write_audio


def folder_of(path: Path, count: int, seconds: float = 0.05) -> Path:
    for n in range(count):
        write_audio(path, f"{n % 7}/{n}.wav", seconds)
    return path


def samples(recordings: Catalogue) -> dict[str, bytes]:
    return {clip.source: clip.read().tobytes() for clip in recordings.train + recordings.held_out}


def test_many_recordings_in_few_files(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "PACK_FILES", 40)
    folder = folder_of(tmp_path / "set", 100)
    write_audio(folder, "quiet.wav", samples=np.zeros(4410))
    (folder / "text.wav").write_text("no audio")
    first = catalogue(folder, 44100, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 3 * 2 + 1  # packs, notes, memo
    assert samples(first) == samples(catalogue(folder, 44100, cache=tmp_path / "alone"))
    monkeypatch.setattr(local.audio, "decode", lambda *_, **__: pytest.fail("decoded again"))
    assert catalogue(folder, 44100, cache=tmp_path / "cache") == first


@pytest.mark.parametrize("size", [3000, 10**9])
def test_packs_are_cut_by_size_too(tmp_path, monkeypatch, size):
    monkeypatch.setattr(local, "PACK_BYTES", size)
    folder = folder_of(tmp_path / "set", 6)
    catalogue(folder, 44100, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("*.f32"))) == (6 if size == 3000 else 1)


def test_copies_are_decoded_once(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "PACK_FILES", 1)
    folder = folder_of(tmp_path / "set", 2)
    for n in range(5):
        (folder / f"copy {n}.wav").write_bytes((folder / "0/0.wav").read_bytes())
    recordings = catalogue(folder, 44100, cache=tmp_path / "cache")
    assert len(samples(recordings)) == 7
    assert len(set(samples(recordings).values())) == len(list((tmp_path / "cache").glob("*.f32"))) == 2
    contents = {clip.source: clip.samples.content for clip in recordings.train + recordings.held_out}
    assert len(set(contents.values())) == 2
    assert contents["copy 3.wav"] == contents["0/0.wav"] != contents["1/1.wav"]


@pytest.mark.parametrize("damage", ["cut", "text", "older", "gone"])
def test_damaged_packs_are_decoded_again(tmp_path, damage):
    folder = folder_of(tmp_path / "set", 5)
    first = catalogue(folder, 44100, cache=tmp_path / "cache")
    for path in (tmp_path / "cache").glob("*.f32"):
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-4])
        elif damage == "gone":
            path.unlink()
        else:
            path.with_suffix(".json").write_text('{"bytes": 1' if damage == "text" else '{"samples": 4}')
    again = catalogue(folder, 44100, cache=tmp_path / "cache")
    assert again == first
    assert samples(again) == samples(catalogue(folder, 44100, cache=tmp_path / "alone"))


def test_half_packs_of_killed_processes_go_after_a_while(tmp_path):
    folder = folder_of(tmp_path / "set", 2)
    (tmp_path / "cache").mkdir()
    names = f".{local.VERSION}-44100-x.f32.1", f".{local.VERSION}-y.2", ".z"
    old, new, other = (tmp_path / "cache" / name for name in names)
    for path in (old, new, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - 2 * ABANDONED,) * 2)
    catalogue(folder, 44100, cache=tmp_path / "cache")
    assert [path.exists() for path in (old, new, other)] == [False, True, True]


def index_slowly(folder: Path, cache: Path) -> None:
    decode = local.Cache._decode
    local.Cache._decode = lambda *arguments: (time.sleep(0.004), decode(*arguments))[1]  # type: ignore[method-assign]
    catalogue(folder, 44100, cache=cache)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_after_ten_kills_the_cache_is_whole(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(local, "PACK_FILES", 9)
    folder, rng = folder_of(tmp_path / "set", 150), random.Random(seed)
    expected = catalogue(folder, 44100, cache=tmp_path / "alone")
    context, sizes = multiprocessing.get_context("fork"), []
    for _ in range(10):
        process = context.Process(target=index_slowly, args=(folder, tmp_path / "cache"))
        process.start()
        time.sleep(rng.uniform(0.05, 0.3))
        process.kill()
        process.join()
        sizes.append(len(list((tmp_path / "cache").glob("*.json"))) if (tmp_path / "cache").exists() else 0)
    assert sizes[-1] > 0  # what was done before a kill is kept
    recordings = catalogue(folder, 44100, cache=tmp_path / "cache")
    assert recordings == expected or samples(recordings) == samples(expected)
    assert recordings.entries == expected.entries
    assert samples(recordings) == samples(expected)


def test_processes_share_a_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "PACK_FILES", 20)
    folder = folder_of(tmp_path / "set", 100)
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=index_slowly, args=(folder, tmp_path / "cache")) for _ in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 4
    shared, alone = (catalogue(folder, 44100, cache=tmp_path / name) for name in ("cache", "alone"))
    assert samples(shared) == samples(alone)
    assert len(list((tmp_path / "cache").glob("*.f32"))) == 5


class FullFile:
    """A file on a disk that is full after some writes."""

    def __init__(self, file, room: int):
        self.file, self.room = file, room

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content: bytes) -> int:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(content)


def test_a_full_disk_is_no_fault_of_the_file_read(tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "set", 5)
    with monkeypatch.context() as patch:
        decode = local.Cache._decode
        patch.setattr(local.Cache, "_decode", lambda cache, source, file, shown: decode(
            cache, source, FullFile(file, 0), shown))
        with pytest.raises(InputError, match=r"cache/.*\.f32: could not be written \(No space left on device\)"):
            catalogue(folder, 44100, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.f32"))
    recordings = catalogue(folder, 44100, cache=tmp_path / "cache")
    assert all(entry.skipped is None for entry in recordings.entries.values())


def test_an_interruption_ends_the_threads_at_once(tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "set", 60)
    monkeypatch.setattr(local, "PACK_FILES", 10)
    monkeypatch.setattr(local, "as_completed", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        catalogue(folder, 44100, cache=tmp_path / "cache")
    monkeypatch.undo()
    recordings = catalogue(folder, 44100, cache=tmp_path / "cache")
    assert len(samples(recordings)) == 60


def test_progress_is_told_in_lines_where_there_is_no_terminal(monkeypatch, capsys):
    clock = iter(np.arange(0, 1000, 1.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with Progress("reading recordings", 50, 100.0) as shown:
        for _ in range(50):
            shown.advance(2.0, 1)
    assert capsys.readouterr().err.splitlines() == [
        "reading recordings: 2 of 50, 4%, 48 s left", "reading recordings: 32 of 50, 64%, 18 s left"]


def test_in_a_terminal_there_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with Progress("reading recordings", 2, 2.0) as shown:
        shown.advance(1.0, 1)
        assert shown.bar is not None
        assert shown.bar.tasks[0].completed == 1
        assert shown.bar.tasks[0].description == "reading recordings: 1 of 2"
    assert shown.bar.finished is False


def test_quick_work_says_nothing(tmp_path, capsys):
    catalogue(folder_of(tmp_path / "set", 20), 44100, cache=tmp_path / "cache")
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_twenty_thousand_files(tmp_path, capsys):
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 2205 + 20000)
    for n in range(20000):
        write_audio(tmp_path / "set", f"{n // 500}/{n}.wav", samples=sound[n : n + 2205])
    start = time.perf_counter()
    first = catalogue(tmp_path / "set", 44100, cache=tmp_path / "cache")
    assert time.perf_counter() - start < 60
    assert "reading recordings: " in capsys.readouterr().err
    assert len(first.train) + len(first.held_out) == 20000
    assert len(list((tmp_path / "cache").iterdir())) < 40
    start = time.process_time()
    assert catalogue(tmp_path / "set", 44100, cache=tmp_path / "cache") == first
    assert time.process_time() - start < 3
