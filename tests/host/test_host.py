"""A host in C++ on libtorch alone: it plays what Python plays, and refuses files that live hosts choke on."""

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rave_lite import set_noise
from rave_lite.export.torchscript import Live, export
from rave_lite.export.verify import offline
from tests import models
from tests.conftest import build
from tests.host.build import built
from tests.jack import dummy_card
from tests.models import measured
from tests.prior.test_prior import random_prior

pytestmark = pytest.mark.host
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return built(tmp_path_factory, "rave_host")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A file with audible output and no noise, and its hop."""
    model = build("model=tiny", "model.capacity=6").eval()
    with torch.no_grad():
        model.decoder.waveform.weight = 10 * model.decoder.waveform.weight
    set_noise(model, 0)
    path = tmp_path_factory.mktemp("host") / "live.ts"
    export(Live(model, batch_size=4), path, {})
    return path, model.hop


def run(host, *arguments, code: int = 0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    done = subprocess.run([str(host), *map(str, arguments)], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def listed(path: Path, **settings) -> dict:
    """`settings`, and the file's noise switched off where it has any."""
    return ({"noise": 0.0} if "noise" in torch.jit.load(str(path)).get_attributes() else {}) | settings


def options(settings: dict) -> list[str]:
    """`--set` for the host."""
    values = {name: value if isinstance(value, tuple) else (value,) for name, value in settings.items()}
    return [word for name, value in values.items() for word in ("--set", f"{name}={','.join(map(str, value))}")]


def play_in_python(path: Path, x: np.ndarray, block: int, settings: dict, method: str = "forward") -> np.ndarray:
    """Output of the file in Python, `(frames, streams) -> (frames', streams)`: blocks of `block` frames, the last padded."""
    live = torch.jit.load(str(path)).eval()
    for name, value in settings.items():
        assert getattr(live, f"set_{name}")(*(value if isinstance(value, tuple) else (value,))) == 0
    x = np.pad(x, ((0, -len(x) % block), (0, 0)))
    channels = int(getattr(live, f"{method}_params")[0])
    streams = torch.tensor(x.T, dtype=torch.float32).reshape(-1, channels, len(x))
    with torch.inference_mode():
        y = torch.cat([getattr(live, method)(part) for part in streams.split(block, -1)], -1)
    return y.flatten(0, 1).T.numpy()


def noise(frames: int, channels: int) -> np.ndarray:
    return 0.3 * np.random.default_rng(0).standard_normal((frames, channels))


WAVS = [("WAV", "PCM_16", 1, 2), ("WAV", "PCM_24", 3, 1), ("WAVEX", "PCM_32", 2, 1), ("WAV", "FLOAT", 4, 3)]


@pytest.mark.parametrize(("format_", "subtype", "streams", "hops"), WAVS)
def test_it_plays_what_python_plays(host, exported, tmp_path, format_, subtype, streams, hops):
    """Every stream its own sound; the length is no multiple of the block."""
    path, hop = exported
    soundfile.write(tmp_path / "in.wav", noise(12 * hop + 77, streams), 44100, format=format_, subtype=subtype)
    run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hops * hop, "--batch", streams,
        *options(listed(path)))
    output, rate = soundfile.read(tmp_path / "out.wav", always_2d=True)
    expected = play_in_python(path, soundfile.read(tmp_path / "in.wav", always_2d=True)[0], hops * hop, listed(path))
    assert rate == 44100
    assert output.shape == expected.shape
    assert np.abs(expected).max() > 0.01
    assert np.abs(output - expected).max() <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("rate", [48000, 96000, 22050])
@pytest.mark.parametrize("model", ["v2", "v2_small", "low_latency"])
def test_any_block_at_any_rate(host, tmp_path, model, rate):
    """Blocks of 64 to 8192, or the largest ratio where that is more, as in hosts: the model's sound, as late as stated."""
    rave = measured(f"model={model}").eval()
    path = models.written(rave, tmp_path, sample_rate=rate)
    live = torch.jit.load(str(path))
    soundfile.write(tmp_path / "in.wav", noise(6 * 8192, 1), rate, subtype="FLOAT")
    soundfile.write(tmp_path / "impulse.wav", np.eye(1, 6 * 8192, 8200).T, rate, subtype="FLOAT")
    set_noise(rave, 0)
    with torch.no_grad():
        expected = offline(rave, live, torch.tensor(soundfile.read(tmp_path / "in.wav")[0]).float().view(1, 1, -1))[0][0, 0]

    def play(name: str, block: int, **settings) -> np.ndarray:
        run(host, path, tmp_path / name, tmp_path / "out.wav", "--block", block, *options({"noise": 0.0} | settings))
        return soundfile.read(tmp_path / "out.wav")[0]

    for block in sorted({max(2**power, live.hop) for power in range(6, 14)}):
        output = play("in.wav", block)
        assert np.abs(output - expected.numpy()).max() <= 1e-5, block
        assert (output[-(-live.latency // 8192) * 8192 :].reshape(-1, max(block, 2048)) ** 2).mean(1).min() > 1e-6
    assert play("impulse.wav", live.hop, dry_wet=0.0).argmax() == 8200 + live.latency  # in the first block the knob turns


def test_a_stereo_model_keeps_its_sides(host, tmp_path):
    path = models.written(measured("model.channels=2"), tmp_path)
    hop = torch.jit.load(str(path)).hop
    soundfile.write(tmp_path / "in.wav", noise(6 * hop, 2) * [1, 0.1], 44100, subtype="FLOAT")
    run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hop, *options(listed(path)))
    output, expected = soundfile.read(tmp_path / "out.wav")[0], play_in_python(
        path, soundfile.read(tmp_path / "in.wav")[0], hop, listed(path))
    assert np.abs(expected[:, 0] - expected[:, 1]).max() > 0.01
    assert np.abs(output - expected).max() <= TOLERANCE


def test_one_sound_goes_to_every_stream(host, exported, tmp_path):
    path, hop = exported
    soundfile.write(tmp_path / "in.wav", noise(4 * hop, 1), 44100)
    run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hop, "--batch", 3, *options(listed(path)))
    output = soundfile.read(tmp_path / "out.wav")[0]
    assert output.shape == (4 * hop, 3)
    assert np.abs(output - output[:, :1]).max() <= TOLERANCE


def test_latents_travel_as_wavs(host, exported, tmp_path):
    """encode and decode apart, through a file of one frame per hop, are forward."""
    path, hop = exported
    x, latents, decoded, direct = (tmp_path / name for name in ("in.wav", "latents.wav", "decoded.wav", "direct.wav"))
    soundfile.write(x, noise(12 * hop, 2), 44100, subtype="FLOAT")
    shared = ["--block", 2 * hop, "--batch", 2, *options(listed(path))]
    run(host, path, x, latents, "--method", "encode", *shared)
    run(host, path, latents, decoded, "--method", "decode", *shared)
    run(host, path, x, direct, *shared)
    z = soundfile.read(latents)[0]
    assert z.shape == (12, 2 * 16)
    assert np.abs(z - play_in_python(path, soundfile.read(x)[0], 2 * hop, listed(path), "encode")).max() <= TOLERANCE
    y, rate = soundfile.read(decoded)
    assert rate == 44100  # not the rate of frames, 43 Hz, times hop
    assert np.abs(y - soundfile.read(direct)[0]).max() <= TOLERANCE


def test_it_plays_by_itself(host, tmp_path):
    """A file with a prior: the temperature in, one value a frame; latents and sound out, as in Python."""
    model = measured()
    path, temperature, out = models.written(model, tmp_path, prior=random_prior()), tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(temperature, np.full((24, 1), 0.8), 44100, subtype="FLOAT")
    for method, tolerance in (("prior", TOLERANCE), ("generate", 1e-5)):
        run(host, path, temperature, out, "--method", method, "--block", 2 * model.hop, "--set", "seed=3")
        live = torch.jit.load(str(path)).eval()
        live.set_seed(3)
        with torch.inference_mode():
            expected = getattr(live, method)(torch.full((1, 1, 24), 0.8))[0].T.numpy()
        output = soundfile.read(out, always_2d=True)[0]
        assert output.shape == expected.shape
        assert np.abs(output - expected).max() <= tolerance * max(1, np.abs(expected).max())


def test_the_files_own_attributes(host, exported, tmp_path):
    path, hop = exported
    settings = listed(path, gain=0.5, dry_wet=0.75, scale_1=1.5, bias_2=0.25)
    soundfile.write(tmp_path / "in.wav", noise(12 * hop, 1), 44100, subtype="FLOAT")
    run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hop, *options(settings))
    x = soundfile.read(tmp_path / "in.wav", always_2d=True)[0]
    output = soundfile.read(tmp_path / "out.wav", always_2d=True)[0]
    expected, plain = play_in_python(path, x, hop, settings), play_in_python(path, x, hop, listed(path))
    assert np.abs(output - expected).max() <= TOLERANCE
    assert np.abs(output - plain).max() > 0.01


def test_settings_are_read_back(host, exported, tmp_path):
    path, hop = exported
    soundfile.write(tmp_path / "in.wav", noise(4 * hop, 1), 44100)
    settings = ["--set", "gain=100", "--set", "noise_on=0", "--at", 2, "gain=0.5", "--at", 3, "gain=nan"]
    said = run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hop, *settings).stdout
    for line in ("set gain = 16, not 100", "set noise_on = 0", "block 2: gain = 0.5", "block 3: gain = 0.5, not nan"):
        assert f"{line}\n" in said


def test_a_block_that_does_not_fit_is_refused(host, exported, tmp_path):
    path, hop = exported
    soundfile.write(tmp_path / "in.wav", noise(2 * hop, 1), 44100)
    done = run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hop + 1, code=1)
    assert f"a block of {hop + 1} samples is no multiple of {hop}" in done.stderr
    assert not (tmp_path / "out.wav").exists()


def test_it_keeps_to_the_clock(host, exported, tmp_path):
    """A second by the clock; how many blocks were late depends on what else the machine does, so it is only reported."""
    path, hop = exported
    soundfile.write(tmp_path / "in.wav", noise(44100, 1), 44100, subtype="FLOAT")
    begun = time.monotonic()
    run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", 2 * hop, "--realtime",
        "--json", tmp_path / "report.json", *options(listed(path)))
    blocks = -(-44100 // (2 * hop))
    assert time.monotonic() - begun >= (blocks - 1) * 2 * hop / 44100
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["blocks"] == len(report["block_ms"]) == blocks
    assert report["misses"] == len(report["missed"]) <= blocks
    assert report["block_length_ms"] == pytest.approx(1000 * 2 * hop / 44100)
    assert report["first_ms"] == pytest.approx(report["block_ms"][0], rel=1e-3)
    assert 0 < report["median_ms"] <= report["p99_ms"] <= report["worst_ms"]
    expected = play_in_python(path, soundfile.read(tmp_path / "in.wav", always_2d=True)[0], 2 * hop, listed(path))
    assert np.abs(soundfile.read(tmp_path / "out.wav", always_2d=True)[0] - expected).max() <= TOLERANCE


def test_the_first_block_is_like_the_others(host, exported, tmp_path):
    """Asked for its methods, the file has compiled itself; in one of three runs, as others compute, too."""
    path, hop = exported
    soundfile.write(tmp_path / "in.wav", noise(40 * hop, 1), 44100)
    reports = []
    for _ in range(3):
        run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hop, "--json", tmp_path / "report.json")
        reports.append(json.loads((tmp_path / "report.json").read_text()))
    assert min(report["first_ms"] - 5 * report["median_ms"] for report in reports) < 20, reports


SMALLEST = """
def forward(self, x):
    return x * self.gain
def get_methods(self):
    return ["forward"]
def get_attributes(self):
    return ["gain"]
def get_gain(self) -> Tuple[float]:
    return (float(self.gain),)
def set_gain(self, gain: float) -> int:
    self.gain.fill_(gain)
    return 0
"""


def written(path: Path, source: str, **attributes) -> Path:
    """Write a file of these methods, buffers (tensors) and attributes (the rest); None is left out."""
    module = type("Dummy", (torch.nn.Module,), {})()  # a class of its own: TorchScript keeps the methods of a known one
    for name, value in attributes.items():
        if isinstance(value, torch.nn.Parameter) or not isinstance(value, torch.Tensor):
            setattr(module, name, value)
        else:
            module.register_buffer(name, value)
    scripted = torch.jit.script(module)
    scripted.define(source)
    scripted.save(str(path))
    return path


def smallest(path: Path, old: str = "", new: str = "", **attributes) -> Path:
    """Write the smallest file that hosts accept, with `old` replaced by `new` in its code."""
    assert old in SMALLEST
    usual = {"gain": torch.ones(()), "gain_params": torch.tensor([2]), "forward_params": torch.tensor([1, 1, 1, 1])}
    given = {name: value for name, value in (usual | attributes).items() if value is not None}
    return written(path, SMALLEST.replace(old, new) if old else SMALLEST, **given)


BREACHES = {
    "no list": ("def get_methods", "def methods", {}, "no method get_methods"),
    "no forward": ('["forward"]', '["gain"]', {}, "get_methods() lists gain, but the file has no such method"),
    "forward not listed": ('["forward"]', '["get_gain"]', {"get_gain_params": torch.tensor([1, 1, 1, 1])},
                           "does not list forward"),
    "no params": ("", "", {"forward_params": None}, "no forward_params"),
    "floats": ("", "", {"forward_params": torch.ones(4)}, "forward_params is no row of integers"),
    "three params": ("", "", {"forward_params": torch.tensor([1, 1, 1])}, "forward_params holds 3 numbers"),
    "ratio": ("", "", {"forward_params": torch.tensor([1, 1, 1, 96])}, "the ratio 96 is no power of two"),
    "labels": ("", "", {"forward_input_labels": ["left", "right"]}, "forward_input_labels names 2 of 1 channels"),
    "gradient": ("", "", {"gain": torch.nn.Parameter(torch.ones(()))}, "the parameter gain requires a gradient"),
    "tuple": ("x * self.gain", "(x, x)", {}, "forward returned a Tuple"),
    "double": ("x * self.gain", "x.double()", {}, "forward returned Double"),
    "strided": ("x * self.gain", "torch.cat([x, x], -1)[..., ::2]", {}, "not contiguous"),
    "short": ("x * self.gain", "x[..., 1:]", {}, "block 0: forward returned [1, 1, 63]; hosts take [1, 1, 64]"),
    "flat": ("x * self.gain", "x.flatten()", {}, "block 0: forward returned [64]; hosts take [1, 1, 64]"),
    "not a number": ("x * self.gain", "x / 0", {}, "not finite"),
    "exception": ("    return x * self.gain", "    assert x.size(0) > 1, 'two streams'\n    return x", {}, "two streams"),
    "bare getter": ("Tuple[float]:\n    return (float(self.gain),)", "float:\n    return float(self.gain)", {},
                    "get_gain returned a bare Double"),
    "type": ("", "", {"gain_params": torch.tensor([1])}, "get_gain returned a Double where gain_params says int"),
    "no code": ("", "", {"gain_params": torch.tensor([4])}, "gain_params holds the code 4"),
    "no setter": ("def set_gain", "def put_gain", {}, "the attribute gain has no set_gain"),
    "refusal": ("return 0", "return -1", {}, "set_gain refused 0.5: it returned -1"),
    "no answer": ("-> int:\n    self.gain.fill_(gain)\n    return 0", "-> None:\n    self.gain.fill_(gain)", {},
                  "set_gain returned a None"),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_file_that_hosts_choke_on_is_refused(host, tmp_path, name):
    old, new, attributes, message = BREACHES[name]
    path = smallest(tmp_path / "x.ts", old, new, **attributes)
    soundfile.write(tmp_path / "in.wav", noise(256, 1), 44100)
    done = run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", 64, "--set", "gain=0.5", code=1)
    assert message in done.stderr


def test_state_is_edited_in_place(host, tmp_path):
    """A setter cannot edit a tensor that a block created: a trap that no test in Python alone shows."""
    soundfile.write(tmp_path / "in.wav", noise(256, 1), 44100)
    wrong = smallest(tmp_path / "wrong.ts", "    return x * self.gain", "    self.gain = self.gain * 1\n    return x")
    arguments = [tmp_path / "in.wav", tmp_path / "out.wav", "--block", 64, "--at", 2, "gain=0.5"]
    assert "inference tensor" in run(host, wrong, *arguments, code=1).stderr
    right = smallest(tmp_path / "right.ts", "    return x * self.gain", "    self.gain.mul_(1)\n    return x * self.gain")
    run(host, right, *arguments)
    x, y = (soundfile.read(tmp_path / name)[0] for name in ("in.wav", "out.wav"))
    assert np.array_equal(y[:128], x[:128])
    assert np.array_equal(y[128:], 0.5 * x[128:])


KNOBS = """
def forward(self, x):
    return x * self.scale[:, None]
def get_methods(self):
    return ["forward"]
def get_attributes(self):
    return ["on", "count", "title", "scale"]
def get_on(self) -> Tuple[bool]:
    return (self.on,)
def set_on(self, value: bool) -> int:
    self.on = value
    return 0
def get_count(self) -> Tuple[int]:
    return (self.count,)
def set_count(self, value: int) -> int:
    self.count = value
    return 0
def get_title(self) -> Tuple[str]:
    return (self.title,)
def set_title(self, value: str) -> int:
    self.title = value
    return 0
def get_scale(self) -> Tuple[int, float]:
    return (1, float(self.scale[0]))
def set_scale(self, channel: int, value: float) -> int:
    if channel < 1 or channel > 2:
        return -1
    self.scale[channel - 1] = value
    return 0
"""


def knobs(path: Path) -> Path:
    """Write a file of two channels with an attribute of every kind, and one of two values."""
    params = {"forward": [2, 1, 2, 1], "on": [0], "count": [1], "title": [3], "scale": [1, 2]}
    buffers = {f"{name}_params": torch.tensor(codes) for name, codes in params.items()}
    return written(path, KNOBS, on=True, count=0, title="none", scale=torch.ones(2), **buffers)


def test_attributes_of_every_kind_are_set_and_read_back(host, tmp_path):
    path = knobs(tmp_path / "knobs.ts")
    soundfile.write(tmp_path / "in.wav", noise(256, 2), 44100)
    wavs = [tmp_path / "in.wav", tmp_path / "out.wav", "--block", 64]
    settings = {"on": "false", "count": -7, "title": "two words", "scale": (1, 0.25)}
    said = run(host, path, *wavs, *options(settings), "--at", 3, "scale=2,0", "--at", 1, "on=1").stdout.splitlines()
    assert "attribute on = true" in said
    for line in ("set on = false", "set count = -7", "set title = two words", "set scale = 1,0.25"):
        assert line in said
    assert said.index("block 1: on = true") < said.index("block 3: scale = 1,0.25, not 2,0")
    x, y = (soundfile.read(tmp_path / name)[0] for name in ("in.wav", "out.wav"))
    gains = np.ones((256, 2)) * [0.25, 1]
    gains[192:, 1] = 0
    assert np.array_equal(y, x * gains)


WRONG = {("--set", "on=maybe"): "'maybe' is not true or false", ("--set", "count=1.5"): "'1.5' is not a whole number",
         ("--set", "count="): "'' is not a whole number", ("--set", "scale=1"): "scale=1: 2 values are wanted",
         ("--at", "1", "scale=3,1"): "set_scale refused 3,1: it returned -1", ("--at", "4", "on=1"): "there are 4 blocks",
         ("--at", "3", "volume=1"): "get_attributes() does not list volume; there is: on count title scale"}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_setting_stops_it(host, tmp_path, words):
    path = knobs(tmp_path / "knobs.ts")
    soundfile.write(tmp_path / "in.wav", noise(256, 2), 44100)
    done = run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", 64, *words, code=1)
    assert WRONG[words] in done.stderr


def test_wrong_words_are_told(host, exported, tmp_path):
    path, _ = exported
    soundfile.write(tmp_path / "in.wav", noise(4096, 3), 44100)
    (tmp_path / "text.wav").write_text("no wav at all")
    wav, out = tmp_path / "in.wav", tmp_path / "out.wav"
    assert "takes 1, or 2 for 2 streams" in run(host, path, wav, out, "--batch", 2, code=1).stderr
    assert "no wav file" in run(host, path, tmp_path / "text.wav", out, code=1).stderr
    assert "does not list sing; there is: encode" in run(host, path, wav, out, "--method", "sing", code=1).stderr
    assert "none.ts cannot be loaded" in (said := run(host, tmp_path / "none.ts", wav, out, code=1).stderr)
    assert "No such file" in said
    (tmp_path / "cut.ts").write_bytes(path.read_bytes()[:-2000])
    assert "cut.ts cannot be loaded; torch says: " in run(host, tmp_path / "cut.ts", wav, out, code=1).stderr
    assert "unknown option --loud" in run(host, path, wav, out, "--loud", code=2).stderr
    assert "three paths" in run(host, path, wav, code=2).stderr
    assert "no whole number" in run(host, path, wav, out, "--block", "many", code=2).stderr


def test_without_a_gpu_it_plays_without_a_graph(host, exported, tmp_path):
    path, hop = exported
    soundfile.write(tmp_path / "in.wav", noise(2 * hop, 1), 44100, subtype="FLOAT")
    done = run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hop, "--graph")
    assert "played without a CUDA graph: the device is no GPU" in done.stderr


def test_a_thousand_random_settings_do_not_hold_it_up(host, exported, tmp_path):
    """CPU time of a block and the four settings before it: even their first calls add milliseconds at most, and once all
    have been made, no block takes twice the median; in one of three runs. A file that compiles as it plays fails."""
    path, _ = exported

    def block_times(file: Path, blocks: int) -> np.ndarray:
        soundfile.write(tmp_path / "in.wav", noise(blocks * 8192, 1), 44100, subtype="FLOAT")
        run(host, file, tmp_path / "in.wav", tmp_path / "out.wav", "--block", 8192, "--fuzz", 4,
            "--json", tmp_path / "report.json")
        return np.array(json.loads((tmp_path / "report.json").read_text())["block_cpu_ms"])

    runs = [block_times(path, 250) for _ in range(3)]
    assert min((times - np.median(times)).max() for times in runs) < 10
    assert min(times[125:].max() / np.median(times) for times in runs) < 2
    cold = torch.jit.load(str(path))
    cold.is_warm = True  # get_methods compiles nothing
    torch.jit.save(cold, str(tmp_path / "cold.ts"))
    assert block_times(tmp_path / "cold.ts", 8).max() > 40


@pytest.fixture
def on_card(host, tmp_path):
    """Plays a file's instances on a JACK dummy card: what they sound like, `(frames, instances)`, and the report."""
    with dummy_card(44100, 1024) as jack:
        def play(path: Path, instances: int, block: int) -> tuple[np.ndarray, dict]:
            run(host, path, tmp_path / "in.wav", tmp_path / "card.wav", "--jack", instances, "--block", block,
                "--json", tmp_path / "card.json", env=jack.env)
            return soundfile.read(tmp_path / "card.wav", always_2d=True)[0], json.loads((tmp_path / "card.json").read_text())

        yield play


@pytest.mark.parametrize("instances", [1, 2])
def test_on_a_card_it_plays_the_same_two_blocks_later(host, exported, on_card, tmp_path, instances):
    """Each instance, if every block is ready in time: in one of three runs, as others compute, too."""
    path, _ = exported
    block = 8192
    soundfile.write(tmp_path / "in.wav", noise(6 * block, 1), 44100, subtype="FLOAT")
    run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", block)
    expected = np.pad(soundfile.read(tmp_path / "out.wav", always_2d=True)[0], ((2 * block, 0), (0, 0)))
    sound, report = next((sound, report) for sound, report in (on_card(path, instances, block) for _ in range(3))
                         if not any(report["late"]))
    assert np.array_equal(sound, np.tile(expected, (1, instances)))
    assert report["blocks"] == 8
    assert len(report["block_ms"]) >= 7 * instances  # the last need not be played
    assert len(report["load_s"]) == instances
    assert np.all(np.diff(report["resident_mib"]) > 0)


def test_late_blocks_are_counted(on_card, tmp_path):
    """A block that is not ready when the next is full is silent, and the next one is lost."""
    work = "    y = self.w\n    for _ in range(4):\n        y = y @ self.w\n    return x + 0 * y[0, 0]"
    slow = smallest(tmp_path / "slow.ts", "    return x * self.gain", work, w=torch.full((512, 512), 1 / 512))
    soundfile.write(tmp_path / "in.wav", noise(64 * 200, 1), 44100, subtype="FLOAT")
    sound, report = on_card(slow, 1, 64)  # 1.45 ms
    assert report["blocks"] == 202
    assert report["median_ms"] > 2 * report["block_length_ms"]
    assert 100 < report["late"][0] < 202
    blocks = sound.reshape(202, 64).any(1)
    assert 0 < blocks.sum() <= len(report["block_ms"])
    assert blocks.sum() >= 202 - report["late"][0] - 3


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [[], ["--graph"]])
def test_it_plays_on_cuda(host, exported, tmp_path, graph):
    path, hop = exported
    soundfile.write(tmp_path / "in.wav", noise(8 * hop, 1), 44100, subtype="FLOAT")
    done = run(host, path, tmp_path / "in.wav", tmp_path / "out.wav", "--block", hop, "--device", "cuda", *graph,
               *options(listed(path)))
    assert ("one CUDA graph" in done.stdout) == bool(graph), done.stderr
    expected = play_in_python(path, soundfile.read(tmp_path / "in.wav", always_2d=True)[0], hop, listed(path))
    assert np.abs(soundfile.read(tmp_path / "out.wav", always_2d=True)[0] - expected).max() <= 1e-3
