"""The commands as a person types them, in real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rave_lite import set_noise
from rave_lite.__main__ import JOBS
from rave_lite.data import catalogue
from rave_lite.evaluation.reconstruct import Reconstruction, reconstruct
from rave_lite.model import RAVE, read_checkpoint
from tests.commands import fails, rave_lite, rave_lite_process
from tests.conftest import SETTINGS
from tests.sounds import broken

ROOT = Path(__file__).parents[2]


def test_the_whole_way(trained):
    """drums, train, evaluate, reconstruct, export: each succeeds, prints where its files are, and they exist."""
    checkpoint = trained / "runs/mine/checkpoints/last.ckpt"
    done = rave_lite("evaluate", f"ckpt={checkpoint}", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert "mel_db" in done.stdout
    report = json.loads((trained / "runs/mine/evaluation/figures.json").read_text())
    assert list(report["mean"]) == ["spectral", "mel_db", "loud_db", "onset_f1", "attack_db", "slope_db", "body_db",
                                    "decay_db_s"]
    assert np.isfinite(list(report["mean"].values())).all()
    assert "transfer" not in report
    assert report["clips"] == {"held_out": len(report["files"]), "training": len(report["files"])}
    for kind, gap in report["gap"].items():
        assert gap == pytest.approx(report["mean"][kind] - report["training"][kind])
    assert report["training"]["spectral"] != report["mean"]["spectral"]
    memorisation = report["memorisation"]
    assert memorisation["memorised"] == pytest.approx(memorisation["held_out_share"] - memorisation["training_share"])
    assert memorisation["training_hits"] > memorisation["held_out_hits"] > 0
    assert f"memorised {memorisation['memorised']:.2f}" in done.stdout
    for name in report["files"]:
        paths = trained / "set/drums" / name, trained / "runs/mine/evaluation/wav" / name
        original, reconstruction = map(soundfile.info, paths)
        assert original.frames == reconstruction.frames
    assert (trained / "runs/mine/evaluation/spectrograms.png").stat().st_size > 10_000

    for out, block in (("whole", "null"), ("blocks", 4096)):
        done = rave_lite("reconstruct", f"ckpt={checkpoint}", "input=set/birds", f"out={out}", f"block={block}",
                         cwd=trained)
        assert done.returncode == 0, done.stderr
    for path in (trained / "whole").glob("*.wav"):
        assert soundfile.info(path).frames == soundfile.info(trained / "set/birds" / path.name).frames
        assert soundfile.info(trained / "blocks" / path.name).frames == soundfile.info(path).frames

    done = rave_lite("export", f"ckpt={checkpoint}", "license=CC BY 4.0, A. Name's (c)", "blocks=50", cwd=trained)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified" in done.stdout
    files = {"metadata.json": ""}
    live = torch.jit.load(str(trained / "runs/mine/mine.ts"), _extra_files=files)
    card = json.loads(files["metadata.json"])
    assert (card["sample_rate"], card["hop"], card["latency"]) == (44100, 1024, live.latency)
    assert (card["license"], card["batch_size"], card["latent_size"]) == ("CC BY 4.0, A. Name's (c)", 16, 16)
    assert card["training_minutes"] > 0
    (measured,) = [times for device, times in card["plays"].items() if device.endswith("one thread")]
    assert list(measured) == ["1024", "2048"]
    assert min(measured.values()) > 0
    assert f"blocks of 1024 in {measured['1024']:.2f} of 23.2 ms" in done.stdout
    assert card["latent_std"] == sorted(card["latent_std"], reverse=True) != [1.0] * 16
    assert "44100 Hz" in done.stdout
    assert f"latency          {live.latency} samples, 11.2 ms; with a block of 1024 34.5 ms" in done.stdout

    done = rave_lite("verify", "runs/mine/mine.ts", f"ckpt={checkpoint}", "blocks=50", cwd=trained)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checkpoint, decode" in done.stdout
    done = rave_lite("bench", "runs/mine/mine.ts", str(checkpoint), "blocks=[2048]", "count=8", "seconds=0.2",
                     "out=bench.json", cwd=trained)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = json.loads((trained / "bench.json").read_text())["rows"]
    assert (first["file"], second["file"]) == ("runs/mine/mine.ts", str(checkpoint))
    assert 0 < first["p50"] <= first["p99"] <= first["worst"]
    assert first["total"] == pytest.approx(1000 * (496 + 2048) / 44100)
    assert first["blocks"] == 4
    assert "verdict" in done.stdout


def test_foreign_sounds_are_judged(trained, tmp_path, write):
    """One short file, and a folder with a broken one: gesture and timbre per file, as mean and together."""
    checkpoint = trained / "runs/mine/checkpoints/last.ckpt"
    click = write("deep/click [b].wav", samples=np.hanning(1000) * 0.3 * np.random.default_rng(0).standard_normal(1000))
    stroke = write("stroke.wav", samples=soundfile.read(next((trained / "set/drums").rglob("*.wav")))[0])
    broken("NaN", write)
    done = rave_lite("evaluate", f"ckpt={checkpoint}", f"inputs={stroke.parent}", "reference_set=set/birds",
                     f"out={tmp_path / 'out'}", "max_train_clips=2", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert "inputs: broken.wav skipped: NaN" in done.stdout
    assert "in_to_target" in done.stdout
    report = json.loads((tmp_path / "out/figures.json").read_text())
    assert report["clips"]["training"] == 2
    transfer = report["transfer"]
    assert transfer["files"].keys() == {"deep/click [b].wav", "stroke.wav"}
    for row in [*transfer["files"].values(), transfer["mean"]]:
        assert list(row) == ["onset_f1", "loudness", "order", "in_to_target", "out_to_target", "in_to_others",
                             "out_to_others", "high_in", "high_out", "sharp_in", "sharp_out"]
        assert np.isfinite(list(row.values())).all()
    for kind, value in transfer["mean"].items():
        assert value == pytest.approx(np.mean([row[kind] for row in transfer["files"].values()]))
    assert transfer["files"]["stroke.wav"]["in_to_target"] < transfer["files"]["stroke.wav"]["in_to_others"]
    assert transfer["together"].keys() == {"target", "others"}
    assert transfer["groups"]["deep"]["mean"] == transfer["files"]["deep/click [b].wav"]
    assert transfer["groups"].keys() == {"deep", "."}
    assert transfer["together"]["target"]["held_out"] < 0.5 * transfer["together"]["others"]["held_out"]
    for name, original in (("stroke", stroke), ("deep/click [b]", click)):
        assert soundfile.info(tmp_path / f"out/transfer/{name}.wav").frames == soundfile.info(original).frames

    done = rave_lite("evaluate", f"ckpt={checkpoint}", f"inputs='{click}'", f"out={tmp_path / 'one'}", "max_train_clips=0",
                     cwd=trained)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "one/figures.json").read_text())
    assert report.keys() == {"files", "mean", "silence_dbfs", "transfer"}
    assert report["transfer"]["together"].keys() == {"target"}
    assert report["transfer"]["files"].keys() == {"click [b].wav"}

    done = rave_lite("evaluate", f"ckpt={checkpoint}", "data.root=set/birds", f"out={tmp_path / 'birds'}", cwd=trained)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "birds/figures.json").read_text())
    assert report.keys() == {"files", "mean", "silence_dbfs"}
    assert len(report["files"]) == 6


@pytest.mark.slow
def test_recordings_elsewhere_and_moved_ones(trained, tmp_path, write):
    """Other recordings are judged whole, inputs still compared with the training set; moved recordings give the same."""
    saved = torch.load(trained / "runs/mine/checkpoints/last.ckpt", weights_only=True)
    held_out = sorted(path.stem for path in (trained / "set/drums").rglob("*.wav"))[:2]
    remembered = {k: v for k, v in saved["config"]["data"].items() if k != "split"}  # older versions had no split
    train = remembered | {"held_out": held_out}
    here, gone = tmp_path / "here.ckpt", tmp_path / "gone.ckpt"
    torch.save(saved | {"config": saved["config"] | {"data": train}}, here)
    recordings = catalogue(trained / "set/drums", 44100, held_out=held_out, cache=trained / "cache")
    torch.save(saved | {"config": saved["config"] | {"data": train | {"root": str(tmp_path / "lost")},
                                                     "minutes": recordings.minutes(recordings.train)}}, gone)

    def judged(checkpoint: Path, *arguments: object) -> dict:
        done = rave_lite("evaluate", f"ckpt={checkpoint}", f"out={tmp_path / 'out'}", "max_train_clips=2", *arguments,
                         cwd=trained)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "out/figures.json").read_text())

    reference, short = judged(here, "inputs=set/birds"), write("short.wav", 0.3).parent
    assert {Path(name).stem for name in reference["files"]} == set(held_out)
    other = judged(here, f"data.root={short}", "inputs=set/birds")
    assert other["files"].keys() == {"short.wav"}
    assert "gap" not in other
    assert other["transfer"] == reference["transfer"]
    fails("have the recordings of mine moved? say data.root=DIR", "evaluate", f"ckpt={gone}", cwd=trained)
    (tmp_path / "now").symlink_to(trained / "set/drums")
    assert judged(gone, f"data.root={tmp_path / 'now'}", "inputs=set/birds") == reference
    assert judged(gone, "data.root=set/birds").keys() == {"files", "mean", "silence_dbfs"}


def test_foreign_sounds_that_are_none(trained, tmp_path, write):
    """Wrong input ends the job before anything is judged or written."""
    checkpoint, out = trained / "runs/mine/checkpoints/last.ckpt", tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text/notes.txt").write_text("no sound")
    hush = write("hush.wav", samples=np.zeros(44100)).parent
    for options, message in (([f"inputs={tmp_path / 'nowhere'}"], "nowhere: no such file or folder"),
                             ([f"inputs={tmp_path / 'empty'}"], "empty: no audio files"),
                             ([f"inputs={tmp_path / 'text'}"], "text: no audio files"),
                             ([f"inputs={hush}"], "none of its 1 audio files is usable"),
                             (["inputs=set/birds", f"reference_set={hush}"], "reference_set: "),
                             (["reference_set=set/birds"], "reference_set: the outputs for inputs"),
                             (["max_train_clips=some"], "max_train_clips: 'some' is no whole number from 0 on"),
                             (["max_train_clips=-1"], "max_train_clips: -1 is no whole number"),
                             (["heard=-1"], "max_train_clips: -1 is no whole number"),
                             (["inputs=set/birds", "others=nowhere"], "others= is now called reference_set="),
                             (["seed=abc"], "seed: 'abc' is no whole"),
                             (["threads=abc"], "threads: 'abc' is no whole number from 1 on")):
        stderr = fails(message, "evaluate", f"ckpt={checkpoint}", f"out={out}", *options, cwd=trained)
        assert not options[0].startswith("inputs=/") or "rave-lite: inputs: " in stderr
    assert not out.exists()


def test_training_steps_are_measured_in_both_phases(tmp_path):
    done = rave_lite("bench-train", *SETTINGS, "steps=3", "warm_up=1", "out=steps.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "steps.json").read_text())
    assert [phase["phase"] for phase in report["phases"]] == [1, 2]
    for phase in report["phases"]:
        assert phase["steps"] == 3
        assert phase["samples_per_second"] == pytest.approx(2 * 8192 / phase["seconds"])
        assert phase["memory"] > 100
    assert "samples/s" in done.stdout
    fails("say 3072", "bench-train", *SETTINGS, "data.window=1024", cwd=tmp_path)


@pytest.mark.slow
def test_an_unfinished_model_is_exported_with_a_warning_and_a_bad_one_not_at_all(trained, tmp_path):
    checkpoint = torch.load(trained / "runs/mine/checkpoints/last.ckpt", weights_only=True)
    checkpoint |= {"step": 1, "phase": 1}
    torch.save(checkpoint, tmp_path / "early.ckpt")
    done = rave_lite("export", f"ckpt={tmp_path / 'early.ckpt'}", f"out={tmp_path / 'early.ts'}", "blocks=50")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: step 1 of the 6 of phase 1" in done.stderr
    for key, value in checkpoint["state_dict"].items():
        if key.endswith("encoder.first.parametrizations.weight.original0"):
            value.fill_(float("nan"))
    torch.save(checkpoint, tmp_path / "broken.ckpt")
    kept = (tmp_path / "early.ts").read_bytes()
    for name in ("broken.ts", "early.ts"):
        fails("not written, because it failed", "export", f"ckpt={tmp_path / 'broken.ckpt'}", f"out={tmp_path / name}",
              "blocks=50")
    assert (tmp_path / "early.ts").read_bytes() == kept  # a good file is not lost to a bad one
    assert {path.name for path in tmp_path.iterdir()} == {"early.ckpt", "early.ts", "broken.ckpt"}


def test_bad_files_to_verify_and_to_bench(trained, tmp_path):
    for name in ("text.ts", "my 'drum' [a], {b}=$c.ts", "back\\slash's.ts"):
        (tmp_path / name).write_text("no archive")
        fails(f"{name}: not a TorchScript file", "verify", str(tmp_path / name))
        fails(f"{name}: not a TorchScript file", "bench", str(tmp_path / name), "count=1")
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "other.ts"))
    fails("other.ts: TorchScript, but not a file that this version of rave-lite export wrote", "verify",
          str(tmp_path / "other.ts"))
    fails("gone.ts: no such file", "verify", "gone.ts", cwd=tmp_path)
    checkpoint = trained / "runs/mine/checkpoints/last.ckpt"
    fails("gone.ckpt: no such checkpoint", "bench", "gone.ckpt", cwd=tmp_path)
    fails("blocks: 1000 is no multiple of hop 1024", "bench", str(checkpoint), "blocks=[1000]")
    for option, message in (("precision=int4", "'int4' is none of"), ("latent_size=99", "this model has 1 to 16"),
                            ("sample_rate=1", "no rate of a host")):
        fails(message, "export", f"ckpt={checkpoint}", f"out={tmp_path / 'x.ts'}", option)


def test_blocks_are_the_whole(trained):
    model = RAVE.from_checkpoint(trained / "runs/mine/checkpoints/last.ckpt")
    set_noise(model, 0)
    x = 0.2 * np.random.default_rng(0).standard_normal((2, 12345)).astype(np.float32)
    with torch.no_grad():
        offline = model.reconstruct(torch.from_numpy(x).unsqueeze(1)).squeeze(1).numpy()
    for block in (None, model.hop, 3 * model.hop):
        assert reconstruct(model, x, block) == pytest.approx(offline, abs=1e-5 * float(np.abs(offline).max()))
    again = Reconstruction(RAVE.from_checkpoint(trained / "runs/mine/checkpoints/last.ckpt"), 2)
    first = again(x, seed=3)
    again(x[:, ::-1], seed=4)
    assert np.array_equal(again(x, seed=3), first)  # nothing is remembered


@pytest.mark.parametrize("job", JOBS)
def test_help_is_for_musicians(job):
    done = rave_lite(job, "--help")
    assert done.returncode == 0
    assert f"rave-lite {job} " in done.stdout
    assert job == "verify" or "out=" in done.stdout or "name=" in done.stdout  # verify writes no file
    assert "== Config ==" not in done.stdout
    assert len(done.stdout.splitlines()) < 40


@pytest.mark.slow
def test_the_real_process_ends_with_2(tmp_path):
    done = rave_lite_process("train", "data.root=nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert "rave-lite: nowhere: no such file or folder" in done.stderr


def test_the_list_of_jobs():
    done = rave_lite()
    assert done.returncode == 0
    assert all(job in done.stdout for job in JOBS)
    fails("there is no job 'sing'", "sing")


def test_bad_checkpoints_and_inputs(trained, tmp_path, write):
    checkpoint = trained / "runs/mine/checkpoints/last.ckpt"
    text = tmp_path / "text.ckpt"
    text.write_text("no checkpoint")
    fails("text.ckpt: not a checkpoint", "export", f"ckpt={text}")
    fails("gone.ckpt: no such checkpoint", "evaluate", "ckpt=gone.ckpt")
    fails("nowhere: no such file or folder", "reconstruct", f"ckpt={checkpoint}", "input=nowhere", cwd=tmp_path)
    fails("is no multiple of this model's hop, 1024", "reconstruct", f"ckpt={checkpoint}", f"input={write('a.wav')}",
          "block=1000", cwd=tmp_path)
    fails("must end in .ts", "export", f"ckpt={checkpoint}", "out=x.pt", cwd=tmp_path)
    fails("ckpt: needs a value", "export")
    damaged = torch.load(checkpoint, weights_only=True)
    damaged["model"]["capacity"] = 6
    torch.save(damaged, tmp_path / "damaged.ckpt")
    fails("another architecture: encoder", "export", f"ckpt={tmp_path / 'damaged.ckpt'}")


def test_one_broken_file_does_not_stop_the_others(trained, tmp_path, write):
    checkpoint = trained / "runs/mine/checkpoints/last.ckpt"
    folder = write("good.wav").parent
    broken("NaN", write)
    stderr = fails("broken.wav: NaN or infinite samples", "reconstruct", f"ckpt={checkpoint}", f"input={folder}",
                   f"out={tmp_path / 'out'}")
    assert "good" not in stderr
    assert [p.name for p in (tmp_path / "out").glob("*.wav")] == ["good.wav"]


def test_nothing_is_written_over(trained, tmp_path, write):
    """Neither an input recording nor another reconstruction is overwritten."""
    checkpoint = trained / "runs/mine/checkpoints/last.ckpt"
    recording = write("a.wav")
    before = recording.read_bytes()
    fails("this would overwrite", "reconstruct", f"ckpt={checkpoint}", f"input={recording}", f"out={recording.parent}")
    assert recording.read_bytes() == before
    write("a.flac")
    done = rave_lite("reconstruct", f"ckpt={checkpoint}", f"input={recording.parent}", f"out={tmp_path / 'both'}")
    assert done.returncode == 0, done.stderr
    done = rave_lite("evaluate", f"ckpt={checkpoint}", f"data.root={recording.parent}", f"inputs={recording.parent}",
                     f"out={tmp_path / 'judged'}", cwd=trained)
    assert done.returncode == 0, done.stderr
    for folder in ("both", "judged/wav", "judged/transfer"):
        assert {path.name for path in (tmp_path / folder).glob("*.wav")} == {"a.wav.wav", "a.flac.wav"}


@pytest.mark.parametrize(("kind", "message"), [
    ("text", "not readable as audio"), ("truncated header", "not readable as audio"), ("NaN", "NaN"),
    ("no samples", "empty (0 samples)")])
def test_training_on_nothing_usable(kind, message, tmp_path, write):
    folder = broken(kind, write).parent
    stderr = fails(message, "train", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", *SETTINGS, cwd=tmp_path)
    assert str(folder) in stderr
    assert "broken.wav" in stderr


def test_training_settings_that_are_wrong(tmp_path, write):
    (tmp_path / "empty").mkdir()
    fails("empty: no audio files", "train", f"data.root={tmp_path / 'empty'}", *SETTINGS, cwd=tmp_path)
    hush = write("hush.wav", samples=np.zeros(44100)).parent
    fails("silent", "train", f"data.root={hush}", f"data.cache={tmp_path / 'cache'}", *SETTINGS, cwd=tmp_path)
    fails("data.root: needs a value", "train", cwd=tmp_path)
    fails("phase1.until: 'never' is neither steps nor plateau", "train", f"data.root={hush}", "phase1.until=never",
          cwd=tmp_path)
    stderr = fails("runner.precision: '16-mixed' is none of", "train", f"data.root={hush}", "trainer.precision=16-mixed",
                   cwd=tmp_path)
    assert "trainer.precision= is now called runner.precision=" in stderr
    fails("say 3072", "train", f"data.root={hush}", *SETTINGS, "data.window=1024", cwd=tmp_path)
    stderr = fails("Could not override 'data.rot'", "train", "data.rot=x", cwd=tmp_path)
    assert "Key 'rot' is not in struct" in stderr
    stderr = fails("Could not find 'model/v9'", "train", "model=v9", cwd=tmp_path)
    assert all(name in stderr for name in ("tiny", "v2", "v2_small"))


def test_an_unknown_recipe_is_refused():
    fails("Could not find 'recipe/minut_cpu'", "train", "recipe=minut_cpu", "data.root=x")


@pytest.mark.slow
def test_an_installed_wheel_trains_from_its_base(tmp_path):
    """Built and unpacked away from the checkout, the commands find conf/, recipes/ and bases; it has 30 MB at most."""
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path,
                    ROOT], check=True)
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "zipfile", "-e", next(tmp_path.glob("*.whl")), site], check=True)
    assert next(tmp_path.glob("*.whl")).stat().st_size < 30e6
    shipped, here = (sorted(path.name for path in (root / "rave_lite/bases").iterdir()) for root in (site, ROOT))
    assert shipped == here
    env = {"PYTHONPATH": str(site)}
    for command in (["drums", "out=.", "hits=1"],
                    ["train", "recipe=minute_cpu", "data.root=drums", "name=x", "transfer.from=base", "phase1.steps=1",
                     "phase2.steps=1"]):
        done = rave_lite_process(*command, cwd=empty, env=env)
        assert done.returncode == 0, done.stderr
    assert read_checkpoint(empty / "runs/x/checkpoints/last.ckpt").settings["transfer"]["from"] == "base:v2"
    where = subprocess.run([sys.executable, "-c", "import rave_lite; print(rave_lite.__file__)"], cwd=empty, text=True,
                           env={**os.environ, **env}, capture_output=True, check=True)
    assert str(site) in where.stdout
