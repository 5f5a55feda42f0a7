"""Held out stays held out: whatever is added, renamed, copied, edited or taken away between two starts of a run."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite import InputError
from rave_lite.data import Catalogue
from rave_lite.data.settings import load_training_catalogue
from rave_lite.data.sides import contents
from rave_lite.evaluation.recordings import known
from rave_lite.notes import note_once
from tests.conftest import write_audio

RATE = 44100


def data(root: Path | str, **changed) -> dict[str, Any]:
    """The settings `data` of a run."""
    return {"root": str(root), "manifest": None, "held_out": 0.3, "split_seed": 0, "fraction": 1, "subset_seed": 0,
            "without": [], "cache": str(Path(str(root).removeprefix("file://")).parent / "cache"), "cache_gb": 20, **changed}


def start(root: Path | str, resumed: dict | None = None, **changed) -> tuple[Catalogue, dict[str, Any]]:
    """What a run trains on and is judged by; and its settings, which its checkpoints hold."""
    note_once.cache_clear()
    used = data(root, **changed)
    return load_training_catalogue(str(root), used, RATE, resumed), used


def evaluated(used: dict[str, Any], root: Path | None = None) -> Catalogue:
    found = known({"name": "a", "data": used, "seed": 0, "minutes": 0}, RATE, root=root and str(root))
    assert found is not None
    return found


def names(clips) -> list[str]:
    return list(dict.fromkeys(clip.source for clip in clips))


def sound(root: Path, name: str, seed: int, seconds: float = 0.03) -> Path:
    samples = 0.3 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return write_audio(root, name, samples=samples)


@pytest.fixture
def root(tmp_path) -> Path:
    for i in range(10):
        sound(tmp_path / "audio", f"{i}.wav", i)
    return tmp_path / "audio"


def test_new_files_are_neither_judged_nor_held_out_but_train_after_a_resume(root, capsys):
    first, used = start(root, held_out=0.1)
    for i in range(3):
        sound(root, f"0{i}.wav", 100 + i)  # the names drew another split before
    again = evaluated(used)
    assert (names(again.train), names(again.held_out)) == (names(first.train), names(first.held_out))
    assert again.entries.keys() == first.entries.keys()
    assert capsys.readouterr().out == f"note: {root}: 3 recordings are new, neither trained on nor held out: " \
                                      "00.wav, 01.wav, 02.wav\n"
    resumed, later = start(root, used, held_out=0.1)
    assert names(resumed.train) == [*names(first.train), "00.wav", "01.wav", "02.wav"]
    assert names(resumed.held_out) == names(first.held_out)
    assert capsys.readouterr().out == f"note: {root}: 3 recordings are new, trained on from now on: 00.wav, 01.wav, 02.wav\n"
    assert names(evaluated(later).train) == names(resumed.train)
    assert capsys.readouterr().out == ""
    assert names(evaluated(used).train) == names(first.train)  # an earlier checkpoint of the same run


def test_missing_files_are_named_and_known_when_they_come_back(root, capsys):
    first, used = start(root)
    held, trained = names(first.held_out)[0], names(first.train)[0]
    for name in (held, trained):
        (root / name).rename(root.parent / name)
    resumed, later = start(root, used)
    out = capsys.readouterr().out
    assert f"1 recording is missing, held out so far: {held}\n" in out
    assert f"1 recording is missing, trained on so far: {trained}\n" in out
    assert (names(resumed.train), names(resumed.held_out)) == (names(first.train)[1:], names(first.held_out)[1:])
    for name in (held, trained):
        (root.parent / name).rename(root / f"back {name}")
    last, _ = start(root, later)
    assert names(last.held_out) == [f"back {held}", *names(first.held_out)[1:]]
    assert names(last.train) == [f"back {trained}", *names(first.train)[1:]]


def test_renamed_moved_and_edited_files_keep_their_side_and_their_place(root, capsys):
    first, used = start(root)
    moved = root.parent / "elsewhere"
    root.rename(moved)
    for i, path in enumerate(sorted(moved.iterdir())):
        (moved / "deep").mkdir(exist_ok=True)
        path.rename(moved / "deep" / f"{99 - i}.wav")
    new_name = {f"{i}.wav": f"deep/{99 - i}.wav" for i in range(10)}
    for again in (evaluated(used, moved), start(moved, used)[0]):
        assert names(again.train) == [new_name[name] for name in names(first.train)]
        assert [clip.read().tolist() for clip in again.train] == [clip.read().tolist() for clip in first.train]
        assert names(again.held_out) == [new_name[name] for name in names(first.held_out)]
    _, later = start(moved, used)
    for side in (first.train, first.held_out):
        sound(moved, new_name[side[0].source], 77)  # both edited, to the same
    capsys.readouterr()
    edited, _ = start(moved, later)
    assert "2 recordings are edited since, on the same side as before: " in capsys.readouterr().out
    assert names(edited.held_out) == [new_name[name] for name in names(first.held_out)]


def test_files_at_a_url_are_known_by_name(root):
    """A URL's recordings may have been copied to another, or into a folder: their content is not read at once."""
    first, used = start(f"file://{root}")
    minutes = first.minutes(first.train)
    sound(root, "00.wav", 50)
    moved = Path(shutil.copytree(root, root.parent / "moved"))
    run = {"name": "a", "data": used, "seed": 0, "minutes": minutes}
    gone = {**run, "data": {**used, "root": "file:///gone"}}
    for again in (known(run, RATE), known(gone, RATE, root=str(moved)), known(gone, RATE, root=f"file://{moved}")):
        assert (names(again.train), names(again.held_out)) == (names(first.train), names(first.held_out))
    other = root.parent / "other"
    for i in range(10):
        sound(other, f"{i}.wav", 100 + i, seconds=0.05)
    assert known(gone, RATE, root=f"file://{other}") is None


def test_copies_of_what_the_run_knows_keep_its_sides(root, capsys):
    first, used = start(root)
    held, trained = names(first.held_out)[0], names(first.train)[0]
    (root / "a").mkdir()
    shutil.copy(root / held, root / "a/x.wav")
    shutil.copy(root / trained, root / "a/y.wav")
    again = evaluated(used)
    assert (names(again.train), names(again.held_out)) == (names(first.train), names(first.held_out))
    resumed, _ = start(root, used)
    assert names(resumed.train) == [*names(first.train), "a/y.wav"]
    assert names(resumed.held_out) == names(first.held_out)
    assert "1 recording is left out, being copies or near copies: a/x.wav" in capsys.readouterr().out


def test_names_and_another_folder_keep_their_meaning(root, capsys):
    first, used = start(root, held_out=["3", "4"])
    (root / "3.wav").rename(root / "renamed.wav")
    sound(root, "new.wav", 50)
    same, _ = start(root, used, held_out=["3", "4"])
    assert names(same.held_out) == ["renamed.wav", "4.wav"]
    more, later = start(root, used, held_out=["4", "new"])
    assert set(names(more.held_out)) == {"renamed.wav", "4.wav", "new.wav"}
    assert names(more.train) == names(first.train)
    assert set(names(evaluated(later).held_out)) == {"renamed.wav", "4.wav", "new.wav"}
    with pytest.raises(InputError, match=r"data.held_out: this run was trained on 5.wav, so it cannot be held out"):
        start(root, used, held_out=["4", "5"])
    with pytest.raises(InputError, match="no usable file is named 'nothing'"):
        start(root, used, held_out=["nothing"])
    other = root.parent / "other"
    for i in range(5):
        sound(other, f"{i}.wav", 200 + i)
    anew, mixed = start(other, used)
    assert len(names(anew.train) + names(anew.held_out)) == 5
    back, _ = start(root, mixed)  # the first folder again
    assert names(back.train) == [*names(first.train), "new.wav"]
    assert known({"name": "a", "data": {**used, "root": "/gone"}, "seed": 0, "minutes": 0}, RATE, root=str(other)) is None
    with pytest.raises(InputError, match=r"(?s)none of the recordings held out from this run is there: 3.wav.*\nhave the"):
        known({"name": "a", "data": {**used, "root": str(other)}, "seed": 0, "minutes": 0}, RATE)


def test_a_lone_file_keeps_its_regions_when_it_gets_company(tmp_path):
    root = tmp_path / "audio"
    sound(root, "z.wav", 1, seconds=6)
    for fraction in (1, 0.5):
        for i in range(3):
            (root / f"{i}.wav").unlink(missing_ok=True)
        first, used = start(root, held_out=0.2, fraction=fraction)
        for i in range(3):
            sound(root, f"{i}.wav", 100 + i)
        again = evaluated(used)
        assert [(c.start, c.stop) for c in again.train] == [(c.start, c.stop) for c in first.train]
        assert again.held_out == first.held_out
        resumed, later = start(root, used, held_out=0.2, fraction=fraction)
        assert resumed.train[:1] == first.train
        assert names(resumed.train) == ["z.wav", "0.wav", "1.wav", "2.wav"]
        assert resumed.held_out == evaluated(later).held_out == first.held_out


def test_a_share_of_the_files_is_remembered(root):
    without = names(start(root)[0].train)[:2]
    first, used = start(root, fraction=0.5, without=without)
    unused = {f"{i}.wav" for i in range(10)} - {*names(first.train), *names(first.held_out)}
    assert unused
    sound(root, "00.wav", 50)
    assert names(evaluated(used).train) == names(first.train)
    assert names(start(root, used, fraction=0.5, without=without)[0].train) == [*names(first.train), "00.wav"]
    other, later = start(root, used, fraction=1)
    assert {*names(other.train)} == {*names(first.train), *unused, "00.wav"}
    fewer, last = start(root, later, fraction=0.2)
    assert len(names(fewer.train)) < len(names(other.train))
    assert {*names(evaluated(last).train)} == {*names(other.train)}  # all that it was ever trained on


@settings(max_examples=60)
@given(st.data())
def test_no_file_is_held_out_that_was_ever_trained_on(draw):
    """Any sequence of adding, renaming, copying, editing and removing, with resumed runs and evaluations in between."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "audio"
        for i in range(5):
            sound(root, f"{i}.wav", i)
        recordings, used = start(root, held_out=0.4)
        trained, held, runs = {*contents(recordings.train).values()}, {*contents(recordings.held_out).values()}, []
        for step in range(draw.draw(st.integers(1, 6))):
            runs.append((used, set(trained), set(held)))
            for number in range(draw.draw(st.integers(0, 4))):
                present = sorted(path.name for path in root.iterdir())
                name, target = (draw.draw(st.sampled_from([*present, *(f"{i}.wav" for i in range(9))])) for _ in range(2))
                what = draw.draw(st.sampled_from(["add", "rename", "copy", "remove", "swap"]))
                if what == "add":
                    sound(root, name, 100 * step + number + 10)
                elif name in present and what == "remove" and len(present) > 1:
                    (root / name).unlink()
                elif name in present and target not in present and what == "rename":
                    (root / name).rename(root / target)
                elif {name, target} <= {*present} and name != target and what == "swap":
                    (root / name).rename(root / "aside")
                    (root / target).rename(root / name)
                    (root / "aside").rename(root / target)
                elif name in present and name != target and what == "copy":
                    shutil.copy(root / name, root / target)
            for settings_then, trained_then, held_then in runs:
                try:
                    found = known({"name": "a", "data": settings_then, "seed": 0, "minutes": 0}, RATE)
                except InputError as error:
                    assert "none of the recordings" in str(error)  # noqa: PT017
                    continue
                judged = {*contents(found.held_out).values()}
                assert not judged & trained_then
                assert not {*contents(found.train).values()} & (held_then - trained_then)
            try:
                recordings, used = start(root, used, held_out=0.4)
            except InputError as error:
                assert "none of the recordings" in str(error) or "both sides" in str(error)  # noqa: PT017
                continue
            trained |= {*contents(recordings.train).values()}
            held = {*contents(recordings.held_out).values()}
            assert not trained & held


@pytest.mark.slow
def test_the_users_way(tmp_path, settings, capsys):
    """Train on four files, copy three in: evaluate and listen go by what was held out, and a resumed run, too."""
    from rave_lite import run

    checkpoint, root = tmp_path / "a/checkpoints/last.ckpt", tmp_path / "audio"
    run("train", f"out={tmp_path / 'a'}", *settings)
    held = list(run("evaluate", f"ckpt={checkpoint}")["files"])
    for i in range(3):
        write_audio(root, f"-{i}.wav", 0.4)
    assert list(run("evaluate", f"ckpt={checkpoint}")["files"]) == held
    capsys.readouterr()
    run("listen", f"ckpt={checkpoint}", f"out={tmp_path / 'page'}")
    assert "3 recordings are new, neither trained on nor held out" in capsys.readouterr().out
    assert "-0.wav" not in (tmp_path / "page/index.html").read_text()
    run("train", f"out={tmp_path / 'a'}", *settings, "resume=last", "phase2.steps=8")
    assert capsys.readouterr().out.count("3 recordings are new, trained on from now on: -0.wav, -1.wav, -2.wav") == 1
    (root / held[0]).rename(root / "hidden.wav")
    assert list(run("evaluate", f"ckpt={checkpoint}")["files"]) == ["hidden.wav"]
    (root / "hidden.wav").unlink()
    with pytest.raises(InputError, match=f"none of the recordings held out from this run is there: {held[0]}"):
        run("train", f"out={tmp_path / 'a'}", *settings, "resume=last", "phase2.steps=9")
