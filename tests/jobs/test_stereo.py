"""A stereo model from its recordings to files and pages."""

import json
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rave_lite.evaluation.figures import figures, image
from rave_lite.export.torchscript import load
from rave_lite.live.player import Player
from rave_lite.model import RAVE
from tests.commands import rave_lite
from tests.conftest import SETTINGS, write_audio

COMMON = [*SETTINGS, "name=sides", "callbacks.listen.judged=0", "callbacks.checkpoints.keep=6"]


def played(page: Path) -> set[int]:
    """The numbers of channels of the sounds in a page."""
    sounds = re.findall('data-sound="([A-Za-z0-9+/=]+)"', page.read_text())
    return {soundfile.info(BytesIO(b64decode(sound))).channels for sound in sounds}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on four panned files of two channels and one of one."""
    folder = tmp_path_factory.mktemp("stereo")
    for i in range(5):
        write_audio(folder / "audio", f"{i}.wav", 0.4)
        if i:
            x, rate = soundfile.read(folder / f"audio/{i}.wav")
            write_audio(folder / "audio", f"{i}.wav", samples=np.stack([x, 0.2 * i * x], 1), rate=rate)
    done = rave_lite("train", "data.root=audio", f"data.cache={folder}/cache", "model.channels=2", *COMMON, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_evaluation_tells_of_the_image(folder):
    done = rave_lite("evaluate", "ckpt=runs/sides", "inputs=audio", cwd=folder)
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "runs/sides/evaluation/figures.json").read_text())
    (name, row), = report["files"].items()
    x = soundfile.read(folder / "audio" / name, always_2d=True)[0].T
    y = soundfile.read(folder / "runs/sides/evaluation/wav" / name)[0].T
    assert (row["pan_in"], row["corr_in"]) == pytest.approx(image(np.repeat(x, 3 - len(x), 0)), abs=1e-3)
    assert (row["pan_out"], row["corr_out"]) == pytest.approx(image(y), abs=1e-3)
    assert row["pan_db"] == pytest.approx(abs(row["pan_out"] - row["pan_in"]))
    assert "pan_db" in done.stdout
    assert all(soundfile.info(path).channels == 2 for path in (folder / "runs/sides/evaluation").rglob("*.wav"))


def test_reconstructions_and_exports_have_two_channels(folder):
    done = rave_lite("reconstruct", "ckpt=runs/sides", "input=audio", "out=made", "envelope=0.5", "calibrate=0.5",
                     cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {soundfile.info(path).channels for path in (folder / "made").glob("*.wav")} == {2}
    done = rave_lite("export", "ckpt=runs/sides", "out=sides.ts", "blocks=20", "channels=2", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert load(folder / "sides.ts").forward_params.tolist() == [2, 1, 2, 1]
    assert Player(folder / "sides.ts").channels == (2, 2)
    done = rave_lite("export", "ckpt=runs/sides", "out=no.ts", "channels=3", cwd=folder)
    assert done.returncode == 2
    assert "channels: 3; this model is stereo" in done.stderr


def test_pages_play_two_channels_also_of_a_model_of_one(folder):
    done = rave_lite("train", "data.root=audio", f"data.cache={folder}/cache", *COMMON, "name=mono", cwd=folder)
    assert done.returncode == 0, done.stderr
    done = rave_lite("listen", "ckpt=[runs/sides,runs/mono]", "out=page", "inputs=audio/1.wav", cwd=folder)
    assert done.returncode == 0, done.stderr
    page = folder / "page/index.html"
    assert page.read_text().count("<dt>pan_db</dt>") == 2 * 2  # a held-out and a training recording, by two models
    assert played(page) == {1, 2}  # the latents of the model of one channel are shown in one
    done = rave_lite("gallery", "run=runs/sides", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert played(folder / "runs/sides/gallery.html") == {2}


def test_a_swapped_and_a_narrowed_image_are_measured():
    rng = np.random.default_rng(0)
    common, own = rng.standard_normal(20000), rng.standard_normal((2, 20000))
    x = np.stack([common, 0.5 * common]) + 0.2 * own
    row = figures(x, x[::-1], 44100)
    assert row["pan_in"] == pytest.approx(-row["pan_out"]) == pytest.approx(10 * np.log10(1.04 / 0.29), abs=0.1)
    assert row["corr"] == pytest.approx(0, abs=1e-6)
    narrow = np.stack([common, 0.5 * common])
    assert figures(x, narrow, 44100)["corr"] == pytest.approx(1 - 0.5 / np.sqrt(1.04 * 0.29), abs=0.01)
    assert image(np.zeros((2, 10))) == (0.0, 1.0)


def test_a_model_plays_left_left(folder):
    """What a trained file plays of a sound on one side and of its mirror image is not the same."""
    model = RAVE.from_checkpoint(folder / "runs/sides/checkpoints/last.ckpt")
    x = 0.1 * torch.randn(1, 2, 8 * model.hop) * torch.tensor([[1.0], [0.0]])
    with torch.no_grad():
        assert not torch.allclose(model.encode(x), model.encode(x.flip(1)))
