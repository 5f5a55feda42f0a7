"""Files in Pure Data itself: its signals, blocks and messages, in an object that plays as nn~ does."""

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.host.build import built
from tests.host.test_host import TOLERANCE, noise, play_in_python
from tests.models import measured, written

pytestmark = pytest.mark.host
TICK = 64  # samples that Pure Data computes at a time
LENGTH = 5 * 8192
EVERY_NUMBER = ["0", "1", "-3", "1e30", "nan", "inf", "-inf", "1e-30"]


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The folder of [rave~]."""
    if not shutil.which("pd") or not any(Path("/usr", local, "include/m_pd.h").exists() for local in ("", "local")):
        pytest.skip("no Pure Data: apt install puredata-core puredata-dev")
    return built(tmp_path_factory, "rave_pd", "rave~.pd_linux").parent


class Patch:
    """The text of a patch. `add` and `message` return a box's number; wires lead from outlets to inlets."""

    def __init__(self) -> None:
        self.boxes, self.wires = [], []

    def add(self, text: str, kind: str = "obj") -> int:
        self.boxes.append(f"#X {kind} 0 0 {text};\n")
        return len(self.boxes) - 1

    def message(self, *texts: str) -> int:
        return self.add(r" \, ".join(texts), "msg")

    def wire(self, a: int, b: int, outlet: int = 0, inlet: int = 0) -> None:
        self.wires.append(f"#X connect {a} {outlet} {b} {inlet};\n")

    def __str__(self) -> str:
        return "".join(["#N canvas 0 0 450 300 12;\n", *self.boxes, *self.wires])


def play(objects: Path, folder: Path, sound: np.ndarray, rate: int, chain: dict[str, int],
         messages: tuple[str, ...] = ()) -> tuple[np.ndarray, str]:
    """What becomes of `sound` `(frames,)`, and what Pure Data prints.

    `chain`: objects, one after the other, with their numbers of outlets; all get `messages`, before they play.
    """
    soundfile.write(folder / "in.wav", sound, rate, subtype="FLOAT")
    patch, milliseconds = Patch(), 1000 * len(sound) / rate + 100
    patch.add(f"table in {len(sound)}"), patch.add(f"table out {len(sound)}")
    files, source, sink = patch.add("soundfiler"), patch.add("tabplay~ in"), patch.add("tabwrite~ out")
    numbers = {patch.add(text): outlets for text, outlets in chain.items()}
    steps = [*(patch.message(text) for text in messages), patch.message("read in.wav in"), patch.message(r"\; pd dsp 1"),
             source, sink, patch.add(f"delay {milliseconds}")]
    in_turn = patch.add("t" + " b" * len(steps))  # from the right
    patch.wire(patch.add("loadbang"), in_turn)
    for outlet, step in enumerate(reversed(steps)):
        patch.wire(in_turn, step, outlet)
    for step, number in itertools.product(steps[: len(messages)], numbers):
        patch.wire(step, number)
    end = patch.add("t b b")
    patch.wire(steps[-1], end)
    for outlet, text in ((1, "write -wave -bytes 4 out.wav out"), (0, r"\; pd quit")):
        patch.wire(end, message := patch.message(text), outlet)
        patch.wire(message, files)
    patch.wire(steps[len(messages)], files)
    for (a, outlets), b in itertools.pairwise([(source, 1), *numbers.items(), (sink, 0)]):
        for channel in range(outlets):
            patch.wire(a, b[0], channel, channel)
    (folder / "patch.pd").write_text(str(patch))
    done = subprocess.run(["pd", "-batch", "-noprefs", "-noaudio", "-stderr", "-r", str(rate), "-path", objects, "patch.pd"],
                          cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr, done.stderr
    return soundfile.read(folder / "out.wav")[0], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("rate", [48000, 96000, 22050])
@pytest.mark.parametrize("model", ["v2", "v2_small", "low_latency"])
def test_it_plays_what_python_plays(objects, tmp_path, model, rate):
    """In blocks of 64, or the largest ratio where that is more, and of 8192."""
    path, sound = written(measured(f"model={model}").eval(), tmp_path, sample_rate=rate), noise(LENGTH, 1)
    hop = int(torch.jit.load(str(path)).hop)
    for block in (max(TICK, hop), 8192):
        output, _ = play(objects, tmp_path, sound[:, 0], rate, {f"rave~ {path} forward {block}": 1}, ("set noise 0",))
        expected = play_in_python(path, sound, block, {"noise": 0.0})[:, 0]
        late = block - TICK
        assert np.abs(expected).max() > 0.01
        assert np.abs(output[:late]).max(initial=0) == 0
        assert np.abs(output[late:] - expected[: LENGTH - late]).max() <= TOLERANCE


def test_latents_travel_as_signals(objects, tmp_path):
    """Of [rave~ FILE encode] into [rave~ FILE decode]: a frame holds for as long as the hop."""
    path, sound = written(measured().eval(), tmp_path), noise(LENGTH, 1)
    hop, size = int(torch.jit.load(str(path)).hop), int(torch.jit.load(str(path)).latent_size)
    block = 4 * hop
    output, _ = play(objects, tmp_path, sound[:, 0], 44100,
                     {f"rave~ {path} encode {block}": size, f"rave~ {path} decode {block}": 1}, ("set noise 0",))
    latents = play_in_python(path, sound, block, {}, "encode")
    latents = np.pad(latents, ((block // hop - 1, 0), (0, 0)))[: LENGTH // hop]
    expected = play_in_python(path, latents, block // hop, {"noise": 0.0}, "decode")[:, 0]
    late = block - TICK
    assert np.abs(expected).max() > 0.01
    assert np.abs(output[late:] - expected[: LENGTH - late]).max() <= TOLERANCE


def test_every_number_that_it_sends_is_taken(objects, tmp_path):
    """Also those that it cannot write down, such as nan, and large ones: no error, and the sound stays finite."""
    path = written(measured().eval(), tmp_path)
    names = torch.jit.load(str(path)).get_attributes()
    messages = tuple(f"set {name} {number}" for name in names for number in EVERY_NUMBER)
    output, printed = play(objects, tmp_path, noise(LENGTH, 1)[:, 0], 44100, {f"rave~ {path} forward 2048": 1}, messages)
    assert printed.count("rave~: ") == len(messages)
    assert np.isfinite(output).all()


def test_a_switch_is_a_number(objects, tmp_path):
    """`set noise_on 0` is off and `set noise_on 1` on, though it sends "0.000000" and "1.000000"."""
    path, silence = written(measured().eval(), tmp_path), np.zeros((LENGTH, 1))
    for value in (0, 1):
        output, printed = play(objects, tmp_path, silence[:, 0], 44100, {f"rave~ {path} forward 2048": 1},
                               (f"set noise_on {value}",))
        expected = play_in_python(path, silence, 2048, {"noise_on": float(value)})[:, 0]
        assert f"noise_on is {value}\n" in printed
        assert np.abs(output[2048 - TICK :] - expected[: TICK - 2048]).max() <= TOLERANCE
    assert np.abs(expected).max() > 0


def test_a_file_that_is_none_is_told(objects, tmp_path):
    (tmp_path / "broken.ts").write_bytes(b"PK")
    with pytest.raises(AssertionError, match=r"rave~: broken.ts cannot be loaded"):
        play(objects, tmp_path, np.zeros(4096), 44100, {"rave~ broken.ts forward 2048": 1})
