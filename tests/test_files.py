"""A file is whole, the old one or the new one, whatever it is called; what goes wrong is said."""

import json

import pytest

from rave_lite import InputError
from rave_lite.files import replacing, short_name, write_json


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
