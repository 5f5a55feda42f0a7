"""What rave_lite wrote is never a recording, whatever it is called and wherever it went."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from rave_lite import InputError
from rave_lite.data import catalogue, outputs
from rave_lite.data.catalogue import usable
from rave_lite.notes import note_once
from tests.sounds import NASTY, drum

SOUND = drum(1)


@pytest.fixture
def sources(tmp_path):
    """Indexes tmp_path/audio; returns the names of what is used."""
    note_once.cache_clear()

    def names(**options) -> set[str]:
        return {clip.source for clip in usable(tmp_path / "audio", 44100, cache=tmp_path / "cache", **options)[2]}

    return names


def test_outputs_beside_recordings_are_left_out_and_told_once(write, tmp_path, sources, capsys):
    for name in ("kick.wav", "deep/snare.wav"):
        write(name)
    for name in NASTY:
        outputs.save(tmp_path / "audio/deep" / name, SOUND, 44100)
        outputs.save(tmp_path / "audio/out" / name, SOUND, 44100)  # the mark names what it holds, once
        outputs.save(tmp_path / "audio/out" / name, SOUND, 44100)
    assert sources() == sources() == {"kick.wav", "deep/snare.wav"}
    assert capsys.readouterr().out == (f"note: {tmp_path / 'audio'}: {2 * len(NASTY)} sounds that rave-lite wrote are "
                                       "left out: in deep, out\n")
    assert sum(len(mark.read_text().splitlines()) for mark in tmp_path.rglob(outputs.MARK)) == 2 * len(NASTY)


def test_moved_copied_or_linked_folders_stay_outputs(write, tmp_path, sources):
    write("kick.wav")
    outputs.save(tmp_path / "audio/runs/a/wav/kick.wav", SOUND, 44100)
    shutil.copytree(tmp_path / "audio/runs", tmp_path / "audio/good sounds")
    (tmp_path / "audio/runs").rename(tmp_path / "audio/b")
    assert sources() == {"kick.wav"}


@pytest.mark.parametrize("name", [
    "logs/csv/version_0/listening/step_0000012/held_out/0_kick.wav",
    "listening/step_12345678/original/0_kick.wav", "evaluation/wav/deep/kick.wav",
    "evaluation/transfer/kick.wav", "wandb/offline-run-2026-ab/files/media/audio/held_out/k.wav"])
def test_what_older_versions_and_loggers_wrote_has_no_mark(write, tmp_path, sources, name):
    write("kick.wav")
    write("wav/listening/step 1/original/kick.wav")
    write(f"runs/a/{name}")
    (tmp_path / "audio/runs/a/evaluation").mkdir(exist_ok=True)
    (tmp_path / "audio/runs/a/evaluation/figures.json").write_text("{}")
    assert sources() == {"kick.wav", "wav/listening/step 1/original/kick.wav"}


def test_a_folder_of_outputs_has_no_recordings_but_may_be_played(tmp_path, sources):
    outputs.save(tmp_path / "audio/a.wav", SOUND, 44100)
    with pytest.raises(InputError, match=r"audio: no recordings: nothing but a sound that rave-lite wrote$"):
        sources()
    assert sources(foreign=True) == {"a.wav"}


def test_outputs_at_a_url_are_left_out_too(write, tmp_path):
    write("kick.wav")
    write("snare.wav")
    outputs.save(tmp_path / "audio/recon/a b.wav", SOUND, 44100)
    found = catalogue(f"file://{tmp_path / 'audio'}", 44100, cache=tmp_path / "cache")
    assert found.entries.keys() == {"kick.wav", "snare.wav"}


@pytest.mark.slow
def test_a_second_run_a_curation_and_a_curve_beside_the_first(tmp_path, settings, monkeypatch, capsys):
    """The user's way: everything in the folder of the recordings; each job has the four recordings and nothing else."""
    from rave_lite import run

    monkeypatch.chdir(tmp_path / "audio")
    small = [s for s in settings if not s.startswith("data.root")]
    run("train", "data.root=.", "name=a", *small)
    run("evaluate", "ckpt=runs/a/checkpoints/last.ckpt")
    run("evaluate", "ckpt=runs/a/checkpoints/last.ckpt", "inputs=0.wav", "out=odd name")
    run("reconstruct", "ckpt=runs/a/checkpoints/last.ckpt", "input=.", "out=.//recon")
    again = run("reconstruct", "ckpt=runs/a/checkpoints/last.ckpt", "input=.", "out=recon2")
    assert sorted(path.name for path in again) == [f"{i}.wav" for i in range(4)]
    assert len(list(Path().rglob("*.wav"))) == 20
    capsys.readouterr()
    for name, resume in (("b", []), ("a", ["resume=last", "phase2.steps=7"])):
        run("train", "data.root=.", f"name={name}", *small, *resume)
        out = capsys.readouterr().out
        assert out.count("that rave-lite wrote") == 1
        assert "held_out" not in out
        assert "recon" not in out.replace("left out: in odd name, recon, recon2 and 1 more", "")
    hits = run("curate", "data.root=.", "out=curated", f"data.cache={tmp_path / 'cache'}")
    assert {hit.file for hit in hits} == {f"{i}.wav" for i in range(4)}
    assert run("learning-curve", "data.root=.", "plan_only=true", "fractions=[0.5,1]", *small[:-3]) is None
    assert "fraction 1: 3 files" in capsys.readouterr().out
    report = run("evaluate", "ckpt=runs/b/checkpoints/last.ckpt", "data.root=.")
    assert set(report["files"]) < {f"{i}.wav" for i in range(4)}
    assert np.isfinite(report["mean"]["spectral"])
