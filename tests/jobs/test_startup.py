"""The command answers at once: no help and no refusal waits for torch. And ckpt=runs/NAME is enough."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from rave_lite import RAVE, InputError, run
from rave_lite.model import read_checkpoint
from rave_lite.runs import checkpoint_file
from tests.commands import fails, rave_lite

CPU_SECONDS = 4.0  # about 0.7 on a machine that has nothing else to do; torch alone takes 3
ASK = """
import json, resource, sys
sys.argv = ["rave-lite", *sys.argv[1:]]
code = 0
try:
    from rave_lite.__main__ import main
    main()
except SystemExit as stop:
    code = stop.code
used = resource.getrusage(resource.RUSAGE_SELF)
heavy = {"torch", "lightning", "librosa", "matplotlib", "scipy"} & {name.partition(".")[0] for name in sys.modules}
print("\\n" + json.dumps([code, used.ru_utime + used.ru_stime, sorted(heavy)]))
"""

REFUSED = [
    (["train"], "data.root: needs a value"),
    (["train", "data.root=nowhere"], "nowhere: no such file or folder"),
    (["train", "data.root=empty"], "empty: no audio files ("),
    (["train", "data.root=outputs"], "outputs: no recordings: nothing but a sound that rave-lite wrote"),
    (["train", "data.rot=3"], "There are: root, manifest"),
    (["train", "model=v9"], "Could not find 'model/v9'"),
    (["train", "data.root=audio", "resume=last"], "last.ckpt: no such checkpoint to resume from"),
    (["train", "data.root=audio", "resume=gone.ckpt"], "gone.ckpt: no such checkpoint to resume from"),
    (["train", "data.root=audio", "name=old"], "runs/old holds a run already"),
    (["train", "data.root=audio", "transfer.from=gone.ckpt"], "gone.ckpt: no such checkpoint"),
    (["train", "data.root=audio", "threads=x"], "threads: 'x' is no whole number"),
    (["learning-curve", "data.root=audio", "fractions=[1]"], "fractions: [1]: a curve needs two"),
    (["train", "data.root=audio", "data.held_out=[nothing]"], "data.held_out: no usable file is named 'nothing'"),
    (["train", "data.root=audio", "data.manifest="], "data.manifest: needs a value"),
    (["train", "data.root=audio", "data.manifest=gone.csv"], "gone.csv: No such file"),
    (["learning-curve", "data.root=empty"], "empty: no audio files"),
    (["curate", "data.root=empty"], "empty: no audio files"),
    (["curate", "data.root=audio", "longer=0"], "longer: 0 is no number"),
    (["evaluate"], "ckpt: needs a value"),
    (["evaluate", "ckpt=gone.ckpt"], "gone.ckpt: no such checkpoint"),
    (["evaluate", "ckpt=empty"], "empty: a folder without best.ckpt or last.ckpt"),
    (["evaluate", "ckpt=runs/old", "data.root=nowhere"], "data.root: nowhere: no such file or folder"),
    (["evaluate", "ckpt=runs/old", "reference_set=audio"], "reference_set: the outputs for inputs="),
    (["listen", "runs/old", "inputs=empty"], "inputs: empty: no audio files"),
    (["listen", "runs/old", "files=0"], "files: 0 is no whole number"),
    (["gallery", "run=empty"], "run: empty: no folder of a run"),
    (["reconstruct", "ckpt=live.ts", "input=audio"],
     "live.ts: an exported file, to be played live; this wants the checkpoint of its run, as in ckpt=runs/NAME"),
    (["reconstruct", "ckpt=runs/old", "input=audio", "envelope=2"], "envelope: 2 is no number from 0 to 1"),
    (["evaluate", "ckpt=runs/old", "inputs=audio", "calibrate=yes"], "calibrate: 'yes' is no number from 0 to 1"),
    (["reconstruct", "ckpt=runs/old", "input=nowhere"], "nowhere: no such file or folder"),
    (["export", "ckpt=gone.ckpt"], "gone.ckpt: no such checkpoint"),
    (["export", "ckpt=runs/old", "out=x.pt"], "out: x.pt must end in .ts"),
    (["import"], "run: needs a value"),
    (["import", "run=nowhere", "out=x.ckpt"], "nowhere: no such run: of acids-rave"),
    (["verify", "gone.ts"], "gone.ts: no such file"),
    (["bench", "gone.ts"], "gone.ts: no such file"),
    (["bench", "gone.ckpt"], "gone.ckpt: no such checkpoint"),
    (["live", "gone.ts"], "gone.ts: no such file"),
    (["sing"], "there is no job 'sing'"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A working folder: an empty folder, one of outputs, a recording, and empty files for a checkpoint and a .ts."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("empty", "outputs", "audio", "runs/old/checkpoints"):
        (folder / name).mkdir(parents=True)
    for name in ("outputs/a.wav", "audio/a.wav"):
        soundfile.write(folder / name, [0.1] * 4410, 44100)
    (folder / "outputs/.rave_lite-outputs").write_text("a.wav\n")
    for name in ("runs/old/checkpoints/last.ckpt", "live.ts"):
        (folder / name).write_text("")
    return folder


def asked(place: Path, *arguments: str) -> tuple[int, float, list[str], str]:
    """Exit code, CPU time in s, heavy modules that were imported, and what was printed, of a command in a new process."""
    done = subprocess.run([sys.executable, "-c", ASK, *arguments], capture_output=True, text=True, cwd=place, check=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    text, _, last = done.stdout.rstrip().rpartition("\n")
    code, seconds, heavy = json.loads(last)
    assert "Traceback" not in done.stderr
    return code, seconds, heavy, text + done.stderr


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_a_refusal_does_not_wait_for_torch(place, arguments, message):
    code, seconds, heavy, text = asked(place, *arguments)
    assert (code, heavy) == (2, [])
    assert message in text
    assert seconds < CPU_SECONDS
    assert not (place / "runs/rave/checkpoints").exists()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("job", ["", "train", "evaluate", "listen", "live", "import", "drums", "learning-curve"])
def test_help_does_not_wait_for_torch(place, job):
    code, seconds, heavy, text = asked(place, *([job] if job else []), "--help")
    assert (code, heavy) == (0, [])
    assert "rave-lite" in text
    assert seconds < CPU_SECONDS


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    from tests.conftest import small_run

    folder = tmp_path_factory.mktemp("trained")
    run("train", *small_run(folder), f"out={folder / 'runs/a'}")
    return folder


@pytest.mark.slow
def test_a_runs_folder_stands_for_its_best_checkpoint(trained, tmp_path):
    folder = trained / "runs/a"
    best, last = folder / "checkpoints/best.ckpt", folder / "checkpoints/last.ckpt"
    assert checkpoint_file(folder) == checkpoint_file(str(folder / "checkpoints")) == best
    assert read_checkpoint(folder).path == best
    assert RAVE.from_checkpoint(folder).sample_rate == 44100
    shutil.copytree(folder, tmp_path / "b")
    (tmp_path / "b/checkpoints/best.ckpt").unlink()
    assert checkpoint_file(tmp_path / "b") == tmp_path / "b/checkpoints/last.ckpt"
    done = rave_lite("evaluate", "ckpt=runs/a", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert (folder / "evaluation/figures.json").is_file()
    for arguments in (["reconstruct", "ckpt=runs/a", "input=audio/0.wav"],
                      ["listen", "ckpt=runs/a,runs/a/checkpoints/last.ckpt"],
                      ["export", "ckpt=runs/a", "out=a.ts", "blocks=20"], ["verify", "a.ts", "ckpt=runs/a", "blocks=20"],
                      ["bench", "runs/a", "count=5", "seconds=0.1"]):
        done = rave_lite(*arguments, cwd=trained)
        assert done.returncode == 0, (arguments, done.stdout + done.stderr)
    assert last.is_file()


def test_a_run_resumes_from_a_runs_folder(trained, tmp_path, settings):
    run("train", *settings, f"out={tmp_path / 'more'}", f"resume={trained / 'runs/a'}", "phase2.steps=7",
        f"data.root={trained / 'audio'}")
    assert read_checkpoint(tmp_path / "more/checkpoints/last.ckpt").step == 13
    run("train", *settings, f"out={tmp_path / 'tuned'}", f"transfer.from={trained / 'runs/a'}")
    assert read_checkpoint(tmp_path / "tuned").settings["transfer"]["from"] == str(trained / "runs/a")


def test_a_resume_with_another_model_names_the_setting(trained, settings):
    resume = [*settings, f"resume={trained / 'runs/a'}", f"out={trained / 'other'}", f"data.root={trained / 'audio'}"]
    for change, message in (("model.capacity=6", "another model than this run's: model.capacity was 4, is now 6. Say"),
                            ("model=v2_small", "another model than this run's: model."),
                            ("latent=variational", "model.latent.name was wasserstein, is now variational"),
                            ("discriminator.capacity=4", "another discriminator than this run's: discriminator.capa")):
        with pytest.raises(InputError) as error:
            run("train", *resume, change)
        assert message in str(error.value)
        assert "transfer.from=" in str(error.value)
        assert "weight" not in str(error.value)


def test_no_checkpoint_in_a_folder(tmp_path):
    (tmp_path / "runs/a/checkpoints").mkdir(parents=True)
    fails("a: a folder without best.ckpt or last.ckpt in checkpoints/; name a run's folder or a checkpoint", "export",
          "ckpt=runs/a", cwd=tmp_path)
