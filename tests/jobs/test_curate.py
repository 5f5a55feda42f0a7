"""Curating and training on what is kept, as a person types it."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from rave_lite.data import Windows, catalogue, manifest
from rave_lite.data.manifest import Hit
from rave_lite.evaluation.evaluate import names_of
from tests.commands import fails, rave_lite
from tests.conftest import SETTINGS
from tests.sounds import RATE, bell, drum

NAMES = ["a, \"b\".wav", "'c' 🥁.wav", "deep/er/<i>d.wav", "e=$f, {g}.wav", "two\nlines.wav", "h.wav", "loceng.wav"]


@pytest.fixture
def folder(write) -> Path:
    for n, name in enumerate(NAMES):
        write(name, samples=(bell if name == "loceng.wav" else drum)(n) * 0.3)
    write("silent.wav", samples=np.zeros(RATE))
    return write("rhythm.wav", samples=np.concatenate([0.3 * drum(n) for n in range(20, 36)])).parent  # 6.4 s


@pytest.fixture
def curated(folder, tmp_path) -> Path:
    done = rave_lite("curate", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", "out=cur", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cur/hits.html" in done.stdout
    assert "hits in 8 files; 1 files skipped" in done.stdout
    return tmp_path / "cur" / "manifest.csv"


def test_the_manifest_lists_every_hit(curated, folder, tmp_path):
    hits = manifest.read(curated)
    assert {hit.file for hit in hits} == {*NAMES, "rhythm.wav"}
    assert hits[0].file == "loceng.wav"
    assert [hit.outlier for hit in hits] == sorted((hit.outlier for hit in hits), reverse=True)
    assert all(hit.keep for hit in hits)
    rhythm = sorted((hit for hit in hits if hit.file == "rhythm.wav"), key=lambda hit: hit.start)
    assert [hit.start for hit in rhythm] == pytest.approx(0.4 * np.arange(16), abs=0.015)
    assert [hit.end for hit in rhythm[:-1]] == [hit.start for hit in rhythm[1:]]
    assert (tmp_path / "cur/hits.html").read_text().count("<li ") == len(hits)


@pytest.mark.parametrize("room", [0.0, 3e-4], ids=["gate", "room"])
def test_of_a_session_the_pauses_belong_to_nobody(write, tmp_path, room):
    rng, strokes = np.random.default_rng(0), [(drum if n % 3 else bell)(n, 0.4 + 0.1 * (n % 5)) for n in range(10)]
    session = room * rng.standard_normal(80 * RATE)
    for n, stroke in enumerate(strokes):
        session[(8 * n + 3) * RATE :][: len(stroke)] += 0.8 * stroke / np.abs(stroke).max()
    path = write("session/session.wav", samples=session, subtype="PCM_24")
    done = rave_lite("curate", f"data.root={path.parent}", f"data.cache={tmp_path / 'cache'}", "out=cur", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    hits = sorted(manifest.read(tmp_path / "cur/manifest.csv"), key=lambda hit: hit.start)
    starts, ends = (np.array([getattr(hit, name) for hit in hits]) for name in ("start", "end"))
    seconds, whole = (ends - starts).sum(), sum(map(len, strokes)) / RATE
    attacks = 8 * np.arange(10) + 3.0
    assert len(hits) == 10
    assert ((starts > attacks - 0.1) & (starts <= attacks)).all()
    assert whole * 0.6 < seconds < 1.2 * whole + 10 * 0.1  # margins of silence.py
    assert f"{seconds / 60:.2f} min of sound in 1.33 min" in done.stdout
    assert "session.wav note: 9" in done.stdout  # its share of silence
    assert all(np.abs(session[round(a * RATE) : round(b * RATE)]).max() > 0.1 for a, b in zip(starts, ends, strict=True))
    plain, kept = (catalogue(path.parent, RATE, cache=tmp_path / "cache", kept=kept)
                   for kept in (None, manifest.load(tmp_path / "cur/manifest.csv")))
    assert plain == kept


def test_a_manifest_that_keeps_all_is_like_none(curated, folder, tmp_path):
    catalogues = [catalogue(folder, rate, cache=tmp_path / "cache", kept=kept) for rate in (44100, 48000)
                  for kept in (None, manifest.load(curated))]
    assert catalogues[0] == catalogues[1]
    assert catalogues[2] == catalogues[3]


def test_an_edited_manifest_is_not_overwritten(curated, folder, tmp_path):
    before = curated.read_bytes()
    arguments = ["curate", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", "out=cur"]
    fails("manifest.csv is there already, maybe with your choices: say another out=, or overwrite=true", *arguments,
          cwd=tmp_path)
    assert curated.read_bytes() == before
    done = rave_lite(*arguments, "overwrite=true", "keep_below=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {hit.file: hit.keep for hit in manifest.read(curated)}["loceng.wav"] is False
    assert rave_lite("curate", f"data.root={folder / 'h.wav'}", f"data.cache={tmp_path / 'cache'}", "out=one",
                     cwd=tmp_path).returncode == 0


def test_a_url_gives_the_same_choice(curated, folder, tmp_path):
    (folder / "silent.wav").unlink()  # of a URL only headers are read
    done = rave_lite("curate", f"data.root=file://{folder}", f"data.cache={tmp_path / 'far'}", "out=far",
                     cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "far/manifest.csv").read_bytes() == curated.read_bytes()


def edited(path: Path, out: Path, keep) -> Path:
    """The manifest with `keep(hit)`, rewritten as a spreadsheet might: by csv, semicolons, its rows in another order."""
    rows = [[*hit.row()[:-1], "TRUE" if keep(hit) else "FALSE"] for hit in manifest.read(path)]
    with out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows([manifest.COLUMNS, *rows[::-1]])
    return out


@pytest.mark.slow
def test_training_hears_only_what_is_kept_and_evaluate_judges_the_same(curated, folder, tmp_path):
    chosen = edited(curated, tmp_path / "manifest (1).csv",
                    lambda hit: 0.7 < hit.start < 3 or hit.start > 5 or hit.file not in ("loceng.wav", "rhythm.wav"))
    arguments = ["train", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", f"data.manifest={chosen}", "name=mine",
                 "data.held_out=[rhythm,h]", *SETTINGS, "phase1.steps=2", "phase2.steps=0"]
    done = rave_lite(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "skipped: not kept by the manifest" in done.stdout
    checkpoint = tmp_path / "runs/mine/checkpoints/last.ckpt"
    data = torch.load(checkpoint, weights_only=True)["config"]["data"]
    assert data["manifest"] == str(chosen)
    assert data["kept"].keys() == {*NAMES, "rhythm.wav"} - {"loceng.wav"}
    assert len(data["kept"]["rhythm.wav"]) == 2

    chosen.unlink()  # the run has stored it
    done = rave_lite("evaluate", f"ckpt={checkpoint}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "runs/mine/evaluation/figures.json").read_text())
    assert report["files"].keys() == {"h.wav", "rhythm.1.wav", "rhythm.2.wav"}
    assert (tmp_path / "runs/mine/evaluation/wav/rhythm.2.wav").is_file()
    fails("manifest (1).csv: No such file", *arguments, "resume=last", cwd=tmp_path)
    arguments = [argument for argument in arguments if "manifest" not in argument]
    done = rave_lite(*arguments, "resume=last", f"data.manifest={curated}", cwd=tmp_path)
    assert "warning: data.manifest keeps other regions than when this run began" in done.stdout


def test_windows_hold_only_samples_that_are_kept(write, tmp_path):
    """Each sample of the file has another value; no window holds values from outside the kept regions."""
    ramp = np.arange(1, 5 * RATE + 1) / (5 * RATE)
    folder = write("ramp.wav", samples=ramp, subtype="FLOAT").parent
    write("other.wav", 0.3)
    kept = {"ramp.wav": [[1.0, 1.5], [2.0, 2.25]], "other.wav": [[0.0, 0.3]]}
    recordings = catalogue(folder, RATE, cache=tmp_path / "cache", kept=kept, held_out=["other"])
    windows = Windows(recordings.train, length=16384, sample_rate=RATE)
    values = np.concatenate([windows[i].numpy().ravel() for i in range(200)]).astype(np.float64) * 5
    values = values[1:][np.abs(np.diff(values) * RATE - 1) < 0.2]  # neither silence nor a fade
    assert len(values) > RATE
    assert (((values > 0.999) & (values < 1.501)) | ((values > 1.999) & (values < 2.251))).all()
    for start, end in kept["ramp.wav"]:
        assert set(np.arange(start + 0.01, end - 0.01, 0.05).round(2)) <= set(values.round(2))
    assert [clip.source for clip in recordings.held_out] == ["other.wav"]


@pytest.mark.parametrize(("hits", "options", "message"), [
    ([Hit("gone.wav", 0, 1), Hit("h.wav", 0, 0.4)], [], "it keeps regions of 'gone.wav', which is not in data.root"),
    ([Hit("silent.wav", 0, 1)], [], "'silent.wav', which cannot be used (silent"),
    ([Hit("h.wav", 0, 0.5)], [], "'h.wav' is kept from 0 to 0.5 s, but ends at 0.400 s"),
    ([Hit("h.wav", 0.1, 0.11), Hit("rhythm.wav", 0, 1)], [], "'h.wav' is kept from 0.1 to 0.11 s: shorter than 20 ms"),
    ([Hit("h.wav", 0, 0.3), Hit("h.wav", 0.2, 0.4)], [], "lines 2 and 3: they overlap in 'h.wav' from 0.2 to 0.3 s"),
    ([Hit("h.wav", 0, 0.4, keep=False)], [], "nothing is kept"),
    ([Hit("h.wav", 0, 0.4)], [], "0.4 s of one file cannot be split into training and held-out parts"),
    ([Hit("h.wav", 0, 0.4), Hit("rhythm.wav", 0, 1)], ["data.held_out=[loceng]"], "no usable file is named 'loceng'"),
    ([Hit("h.wav", 0, 0.4), Hit("rhythm.wav", 0, 1)], ["data.held_out=[h,rhythm]"], "leave files on both sides")])
def test_manifests_that_cannot_be_trained_on(folder, tmp_path, hits, options, message):
    manifest.write(tmp_path / "m.csv", hits)
    fails(message, "train", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", "data.manifest=m.csv", *options,
          *SETTINGS, cwd=tmp_path)


def test_what_is_dropped_may_be_gone(folder, tmp_path):
    kept = manifest.kept([Hit("gone.wav", 0, 1, keep=False), Hit("h.wav", 0, 0.4), Hit("rhythm.wav", 0, 1)])
    recordings = catalogue(folder, RATE, cache=tmp_path / "cache", kept=kept)
    assert {clip.source for clip in recordings.train + recordings.held_out} == {"h.wav", "rhythm.wav"}


def test_a_lone_file_is_split_where_its_kept_seconds_end(folder, tmp_path):
    kept = {"rhythm.wav": [[0.0, 2.0], [3.0, 4.5], [5.0, 5.8]]}
    recordings = catalogue(folder / "rhythm.wav", RATE, cache=tmp_path / "cache", kept=kept)
    edges = [[edge / RATE for c in clips for edge in (c.start, c.stop)] for clips in (recordings.train, recordings.held_out)]
    assert edges == [pytest.approx([0, 2, 3, 3.3]), pytest.approx([4.3, 4.5, 5, 5.8])]
    assert names_of(recordings.held_out) == ["rhythm.1.wav", "rhythm.2.wav"]


@pytest.mark.parametrize(("option", "message"), [
    ("longer=0", "longer: 0 is no number from 0.1 on"), ("seconds=long", "seconds: 'long' is no number"),
    ("keep_below=many", "keep_below: 'many' is no outlier score"), ("data.root=nowhere", "nowhere: no such file or folder")])
def test_settings_that_are_wrong(folder, tmp_path, option, message):
    fails(message, "curate", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", option, cwd=tmp_path)
    assert not (tmp_path / "curation").exists()
    fails("data.root: needs a value", "curate", cwd=tmp_path)


def test_names_that_are_no_text(folder, tmp_path):
    (folder / "h.wav").rename(Path(os.fsdecode(bytes(folder) + b"/h\xff.wav")))
    fails(r"h\udcff.wav': this name is not UTF-8 text; rename the file", "curate", f"data.root={folder}",
          f"data.cache={tmp_path / 'cache'}", cwd=tmp_path)


def test_a_manifest_that_is_no_csv(folder, tmp_path):
    fails("m.csv: No such file", "train", f"data.root={folder}", "data.manifest=m.csv", *SETTINGS, cwd=tmp_path)
    fails("not UTF-8 text", "train", f"data.root={folder}", f"data.manifest={folder / 'h.wav'}", *SETTINGS, cwd=tmp_path)
