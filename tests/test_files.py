"""A file is whole, the old one or the new one, whatever it is called; what goes wrong is said."""

import errno
import json
import os
import subprocess
import sys

import pytest
from filelock import FileLock

from rave_lite import InputError
from rave_lite.files import exclusive, replacing, short_name, write_json
from rave_lite.notes import note_once


@pytest.mark.parametrize("name", ["a.wav", "x" * 251 + ".wav", "鼓" * 83 + ".wav", ".hidden"])
def test_any_name_that_the_disk_takes(tmp_path, name):
    path = tmp_path / "new folder" / name
    for text in ("first", "second"):
        with replacing(path) as aside:
            aside.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def fill() -> None:
        with replacing(path) as aside:
            aside.write_text("half")
            raise OSError(28, "No space left")

    with pytest.raises(InputError, match=r"a: could not be written \(No space left\); what it held before is untouched"):
        fill()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="could not be written"), replacing(path / "below"):  # a file, not a folder
        pass


def test_json_that_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "new folder" / "a.json"
    write_json(path, {"鼓": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"鼓": float("nan")})
    assert json.loads(path.read_text()) == {"鼓": 1}
    assert list(path.parent.iterdir()) == [path]


def test_names_are_cut_between_letters():
    assert short_name("鼓.wav") == "鼓.wav"
    assert short_name("鼓" * 80, 100) == "鼓" * 33


def test_one_process_at_a_time_has_a_folder(tmp_path):
    folder = tmp_path / "run"
    holding = "import sys, time; from pathlib import Path; from rave_lite.files import exclusive\n" \
              "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holding, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="run: another process trains in this folder"), exclusive(folder):
            pass
        process.kill()
    with exclusive(folder), exclusive(folder):  # what was killed holds nothing, and a process may enter twice
        pass
    assert not list(folder.iterdir())


def test_a_drive_without_locks_is_told_of(tmp_path, monkeypatch, capsys):
    def fails(*_, **__):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(FileLock, "acquire", fails)
    note_once.cache_clear()
    with exclusive(tmp_path / "run"):
        pass
    assert "run: cannot be locked (" in capsys.readouterr().out
