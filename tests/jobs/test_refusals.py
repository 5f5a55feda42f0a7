"""What cannot be read, written or understood ends with one line and exit code 2, and leaves no empty folder of a run."""

import errno
import os
from pathlib import Path

import pytest

from rave_lite.cli import sweep
from rave_lite.data import local
from rave_lite.files import exclusive
from tests.commands import fails, rave_lite, rave_lite_process
from tests.conftest import SETTINGS


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def arguments(write, tmp_path) -> list[str]:
    for n in range(3):
        folder = write(f"{n}.wav", 0.3).parent
    (tmp_path / "here").mkdir()
    return ["train", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", *SETTINGS]


def refused(message: str, arguments: list[str], *more: str) -> None:
    """The command, in an empty folder, ends as `fails` says and leaves the folder empty."""
    here = Path(arguments[1].partition("=")[2]).parent / "here"
    assert len(fails(message, *arguments, *more, cwd=here).strip().splitlines()) == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(("setting", "message"), [
    ("training.lr=0.1x", "training.lr: '0.1x' is no list of numbers, as [0.002, 0.0001] is"),
    ("training.lr=0.1", "training.lr: 0.1 is no list of numbers"), ("seed=one", "seed: 'one' is no whole number from 0 on"),
    ("training.betas=[a,b]", "training.betas: ['a', 'b'] is no list of numbers"),
    ("data.batch_size=two", "data.batch_size: 'two' is no whole number from 1 on"),
    ("model.capacity=4q", "model.capacity: '4q' is no whole number"),
    ("phase1.steps=x", "phase1.steps: 'x' is no whole number")])
@pytest.mark.sampled(2)
def test_text_for_a_number(arguments, setting, message):
    refused(message, arguments, setting)


@pytest.mark.parametrize(("settings", "message"), [
    (["phase1.steps=0", "phase2.steps=0"], "no step to train"), (["phase1.steps=-1"], "phase1.steps: -1 is no whole number"),
    (["name="], "name: '' names no folder in runs"), (["name=../x"], "name: '../x' names no folder in runs"),
    (["model.capacity=0"], "model.capacity: 0 is no whole number from 1 on"), (["seed=-1"], "seed: -1 is no whole number"),
    (["data.batch_size=1.5"], "data.batch_size: 1.5 is no whole number"), (["data.workers=-1"], "data.workers: -1 is no"),
    (["threads=0"], "threads: 0 is no whole number"),
    (["data.held_out=tabla_na"], "data.held_out: 'tabla_na' is neither a list nor a fraction; say [tabla_na], or 0.1")])
def test_numbers_and_names_that_cannot_be(arguments, settings, message):
    refused(message, arguments, *settings)


def test_a_folder_that_may_not_be_read(arguments, monkeypatch):
    scan = os.scandir

    def denied(path):
        if not isinstance(path, int) and Path(path).name == "audio":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    refused("audio: may not be read (Permission denied)", arguments)


def test_a_cache_that_cannot_be_written(arguments, tmp_path):
    (tmp_path / "file").touch()
    refused("data.cache: ", arguments, f"data.cache={tmp_path / 'file/cache'}")
    refused("could not be made (Not a directory); say another", arguments, f"data.cache={tmp_path / 'file/cache'}")


def test_a_full_disk_while_indexing(arguments, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    refused("could not be written (No space left on device)", arguments)


def test_a_working_folder_that_cannot_be_written(arguments, tmp_path, monkeypatch):
    (tmp_path / "here/runs").touch()
    message = "runs/rave: could not be written (Not a directory); say another folder, as in out=DIR"
    fails(message, *arguments, cwd=tmp_path / "here")
    fails(message, "train", "--multirun", *arguments[1:], "seed=1,2", cwd=tmp_path / "here")
    monkeypatch.setattr(sweep.tempfile, "TemporaryFile", full)
    (tmp_path / "here/runs").unlink()
    refused("runs/rave: could not be written (No space left on device)", arguments)


def test_only_an_unused_folder_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a/.hydra", "runs/b/.hydra", "runs/b/checkpoints", "mine/c/.hydra", ".hydra"):
        Path(name).mkdir(parents=True)
    for name in ("runs/a", "runs/b", "mine/c", "nowhere", "."):
        sweep.remove_unused(Path(name))
    assert sorted(map(str, Path().rglob("*"))) == [".hydra", "mine", "runs", "runs/b", "runs/b/.hydra", "runs/b/checkpoints"]


def test_of_a_run_that_was_stopped_while_indexing_nothing_stays(arguments, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(local.Cache, "fetch", stopped)
    done = rave_lite(*arguments, cwd=tmp_path / "here")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "rave-lite: stopped")
    assert list((tmp_path / "here").iterdir()) == []


def test_a_refused_training_leaves_the_notes_of_the_run(write, tmp_path):
    write("0.wav", 0.3)
    notes = tmp_path / "runs/old/.hydra/overrides.yaml"
    notes.parent.mkdir(parents=True)
    notes.write_text("- name=old\n")
    command = ("train", "data.root=audio", "name=old")
    with exclusive(tmp_path / "runs/old"):
        done = rave_lite_process(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert "another process trains in this folder" in done.stderr
    (tmp_path / "runs/old/checkpoints").mkdir()
    (tmp_path / "runs/old/checkpoints/last.ckpt").touch()
    fails("holds a run already", *command, cwd=tmp_path)
    assert notes.read_text() == "- name=old\n"
