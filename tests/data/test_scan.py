"""Which files of a folder are found: through links, and what is named because it cannot be read."""

import os
import shutil
from pathlib import Path

import pytest

from rave_lite import InputError
from rave_lite.data import catalogue, local
from rave_lite.data.scan import find
from tests.sounds import printed


def names(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in find(root)[0]]


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        find(tmp_path / "nowhere")


def test_links_are_followed_each_folder_once(write, tmp_path):
    root = write("real/a.wav", 0.1).parents[1]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "real/a.wav").rename(elsewhere / "far.wav")
    write("real/deep/b.wav", 0.1)
    (elsewhere / "back").symlink_to(root)
    for name, target in {"0alias": "real", "loop": ".", "up": "../..", "session": elsewhere, "zession": elsewhere,
                         "file.wav": "real/deep/b.wav", "real/deep/around": "../../loop/session"}.items():
        (root / name).symlink_to(target)
    assert names(root) == ["file.wav", "real/deep/b.wav", "session/far.wav"]
    assert find(root)[1] == {}
    assert names(root / "session") == ["back/file.wav", "back/real/deep/b.wav", "far.wav"]  # a link as the root
    assert find(elsewhere / "back/session/far.wav")[0] == [elsewhere / "back/session/far.wav"]


def test_what_leads_nowhere_is_named(write):
    root = write("a.wav", 0.1).parent
    for name, target in {"gone.wav": "/nowhere/x.wav", "disk": "/nowhere/disk", "notes.txt": "/nowhere",
                         "self.wav": "self.wav", "ring": "ring", ".hidden.wav": "/nowhere"}.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe.wav")
    gone, loops = "a link to what is not there", "may not be read (Too many levels of symbolic links)"
    paths, left_out = find(root)
    assert paths == [root / "a.wav"]
    assert left_out == {"disk": gone, "gone.wav": gone, "pipe.wav": "neither a file nor a folder", "ring": loops,
                        "self.wav": loops}


def forbid(monkeypatch, *names: str) -> None:
    """Reading a file or folder of these names fails, as it does without permission (which does not bind root)."""
    def refusing(function):
        def refused(path, *arguments, **options):
            if Path(path).name in names:
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *arguments, **options)
        return refused

    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    monkeypatch.setattr(Path, "open", refusing(Path.open))


def test_without_permission_it_is_named_and_the_others_go_on(write, tmp_path, monkeypatch):
    for name in ("a.wav", "b.wav", "secret.wav", "private/c.wav"):
        write(name, 0.3)
    forbid(monkeypatch, "secret.wav", "private")
    recordings = catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")
    reasons = {name: entry.skipped for name, entry in recordings.entries.items() if entry.skipped}
    assert reasons == dict.fromkeys(["private", "secret.wav"], "may not be read (Permission denied)")
    assert {clip.source for clip in recordings.train + recordings.held_out} == {"a.wav", "b.wav"}
    assert printed(recordings).count("may not be read (Permission denied)") == 2
    forbid(monkeypatch, "audio")
    with pytest.raises(InputError, match=r"audio: may not be read \(Permission denied\)"):
        catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_real_permissions(write, tmp_path):
    paths = [write(name, 0.3) for name in ("a.wav", "b.wav", "secret.wav", "private/c.wav")]
    for path in (*tmp_path.parents, tmp_path, tmp_path / "audio"):
        if path.owner() == "root" and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    paths[2].chmod(0)
    paths[3].parent.chmod(0)
    (tmp_path / "cache").mkdir(mode=0o777)
    (tmp_path / "cache").chmod(0o777)
    os.seteuid(65534)
    try:
        entries = catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache").entries
    finally:
        os.seteuid(0)
    assert {name for name, entry in entries.items() if entry.skipped == "may not be read (Permission denied)"} == {
        "private", "secret.wav"}


def test_a_file_that_goes_away_while_it_is_read_is_named(write, tmp_path, monkeypatch):
    for name in ("a.wav", "b.wav", "c.wav"):
        write(name, 0.3)
    hashed = local.Source.hash
    monkeypatch.setattr(local.Source, "hash", lambda source: (
        source.path.name == "b.wav" and source.path.unlink(), hashed(source))[1])
    entries = catalogue(tmp_path / "audio", 44100, cache=tmp_path / "cache").entries
    assert entries["b.wav"].skipped == "may not be read (No such file or directory)"
    shutil.rmtree(tmp_path / "audio")
