"""Playing live: the file as it is, the delay as stated, errors for people, and a real stream through JACK's dummy card."""

import ctypes.util
import importlib.util
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rave_lite import InputError
from rave_lite.export.torchscript import Live, export
from rave_lite.live.engine import Engine, block_size
from rave_lite.live.player import Controls, Player
from rave_lite.live.terminal import split
from tests.commands import fails
from tests.conftest import build
from tests.jack import Jack, dummy_card

HOP, PERIOD, RATE = 64, 512, 44100  # PERIOD: of JACK's dummy card


class Echo(nn.Module):
    """y[n] = gain * (x[n] / 2 + x[n - 64] / 4), with nn~'s protocol; not finite above 100, an error above 1000."""

    def __init__(self, sample_rate: int = RATE):
        super().__init__()
        self.sample_rate, self.hop, self.latency = sample_rate, HOP, 0
        self.register_buffer("forward_params", torch.tensor([1, 1, 1, 1]))
        self.register_buffer("past", torch.zeros(1, 1, HOP))
        self.register_buffer("values", torch.tensor([1.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        if float(x.max()) > 1000:
            raise ValueError("too loud")
        if x.shape[2] % self.hop != 0:
            raise ValueError("no multiple of hop")
        y = torch.cat([self.past, x], -1)
        self.past.copy_(y[..., -self.hop:])
        return self.values[1] * (0.5 * x + 0.25 * y[..., : -self.hop]) / float(x.max() <= 100)

    @torch.jit.export
    def reset(self) -> None:
        self.past.zero_()

    @torch.jit.export
    def get_attributes(self) -> list[str]:
        return ["dry_wet", "gain"]

    @torch.jit.export
    def set_dry_wet(self, value: float) -> int:
        self.values[0] = value
        return 0

    @torch.jit.export
    def get_dry_wet(self) -> tuple[float]:
        return (float(self.values[0]),)

    @torch.jit.export
    def set_gain(self, value: float) -> int:
        self.values[1] = value
        return 0

    @torch.jit.export
    def get_gain(self) -> tuple[float]:
        return (float(self.values[1]),)


def echo(x: np.ndarray) -> np.ndarray:
    return 0.5 * x + 0.25 * np.pad(x, (HOP, 0))[:-HOP]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("live") / "echo.ts"
    torch.jit.script(Echo()).save(str(path))
    return path


@pytest.fixture
def signal_in() -> np.ndarray:
    return (0.2 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)


# ---- the file

def test_the_player_is_the_file(tmp_path):
    path = tmp_path / "x.ts"
    export(Live(build("model=tiny", "model.capacity=4").eval(), batch_size=2), path, {})
    player, direct = Player(path), torch.jit.load(str(path))
    assert (player.sample_rate, player.hop, player.latency) == (direct.sample_rate, direct.hop, direct.latency)
    assert player.channels == (1, 1)
    player.warm_up(2 * player.hop)
    for hops in (2, 1, 3):
        x = 0.3 * torch.randn(1, hops * player.hop)
        with torch.inference_mode():
            torch.manual_seed(0)
            expected = direct(x.unsqueeze(0))[0].numpy()
            torch.manual_seed(0)
            output = player.process(x.numpy())
        assert np.abs(expected).max() > 0
        assert output == pytest.approx(expected, abs=1e-6)


def test_an_older_file_of_hop_1_plays_in_its_block(tmp_path):
    """As `sample_rate=` once made them: the block is what the others call hop, and cannot be recorded."""
    old = Echo(48000)
    old.hop, old.block, old.receptive_field = 1, 2 * HOP, HOP
    old.past = torch.zeros(1, 1, 1)
    torch.jit.script(old).save(str(tmp_path / "old.ts"))
    player = Player(tmp_path / "old.ts")
    assert (player.hop, player.recordable, block_size(None, player)) == (2 * HOP, False, 2 * HOP)
    player.warm_up(player.hop)


def test_attributes_are_warmed_up_too(tmp_path):
    """Whatever they were set to; the first turn of a dial is then like any other, with one of three players."""
    export(Live(build("model=tiny", "model.capacity=4").eval(), batch_size=1), tmp_path / "x.ts", {})
    firsts = []
    for _ in range(3):
        player = Player(tmp_path / "x.ts")
        player.set("dry_wet", 0.5)
        player.warm_up(player.hop)
        assert (player.get("dry_wet"), player.get("gain"), player.get("reset")) == (0.5, 1.0, 0.0)
        for name in ("scale_3", "seed", "gain"):
            start = time.thread_time()
            player.set(name, 2.0)
            firsts.append(time.thread_time() - start)
    assert min(firsts[::3]) < 2e-4, firsts
    assert min(firsts[2::3]) < 2e-4, firsts


@pytest.mark.gpu
def test_the_player_on_cuda(file, signal_in):
    player = Player(file, "cuda")
    player.warm_up(1024)
    output = [player.process(block) for block in signal_in[:8192].reshape(8, 1, 1024)]
    assert np.concatenate(output, -1)[0] == pytest.approx(echo(signal_in[:8192]), abs=1e-6)


def test_the_dials(file):
    player = Player(file)
    controls = Controls(player)
    assert (controls.dry_wet, controls.gain) == (1.0, 0.0)
    assert all(controls.press(key) for key in split("\x1b[Ddd\x1b[C\x1b[B\x1b[B?"))
    assert player.get("dry_wet") == pytest.approx(0.9)
    assert player.get("gain") == pytest.approx(10 ** (-2 / 20))
    controls.press(" ")
    assert player.get("dry_wet") == 0
    controls.press(" ")
    assert player.get("dry_wet") == pytest.approx(0.9)
    for _ in range(9):
        controls.press("D")
    assert player.get("dry_wet") == 1
    assert not controls.press("q")
    assert "100 %" in controls.lines()[0]
    with pytest.raises(InputError, match="no such attribute; it has dry_wet, gain"):
        player.set("pitch", 1.0)


# ---- the engine

def through(engine: Engine, x: np.ndarray, channels: int = 1) -> np.ndarray:
    """`x` by periods, `(T,) -> (T, channels)`."""
    periods = [(part, np.full((engine.period, channels), np.nan, np.float32)) for part in x.reshape(-1, engine.period, 1)]
    for source, target in periods:
        engine.process_period(source, target)
    return np.concatenate([target for _, target in periods])


@pytest.mark.parametrize("block", [64, 320, 1024])
@pytest.mark.parametrize("slack", [0, 1, 64, 150, 10_000, None])
def test_the_output_is_the_models_and_as_late_as_stated(file, block, slack):
    engine = Engine(Player(file), block, RATE, slack=slack)
    assert engine.delay <= 2 * block - engine.period
    assert engine.slack >= min(block, slack or 0)
    x = np.random.default_rng(1).standard_normal(40 * block).astype(np.float32)
    y = through(engine, x, channels=2)
    engine.stop()
    assert (y[:, 0] == y[:, 1]).all()
    assert (y[: engine.delay] == 0).all()
    assert y[engine.delay:, 0] == pytest.approx(echo(x)[: len(x) - engine.delay], abs=1e-6)
    assert engine.blocks in (39, 40)  # the last may be underway
    assert not engine.thread.is_alive()


def test_what_is_not_finite_is_silence_and_forgotten(file):
    engine = Engine(Player(file), HOP, RATE, slack=0)
    x = np.ones(6 * HOP, np.float32)
    x[2 * HOP] = 101
    y = through(engine, x)[:, 0].reshape(6, HOP)
    engine.stop()
    assert engine.nonfinite_blocks == 1
    assert [sorted(set(block.tolist())) for block in y] == [[0.5], [0.75], [0.0], [0.5], [0.75], [0.75]]


def test_a_model_that_fails_is_reported(file):
    engine = Engine(Player(file), HOP, RATE, slack=0)
    with pytest.raises(InputError, match=r"echo\.ts: the model failed: .*too loud"):
        through(engine, np.full(HOP, 2000, np.float32))
    with pytest.raises(InputError, match="no multiple of hop"):
        Engine(Player(file), HOP + 1, RATE)


def test_slow_blocks_are_counted_and_lose_nothing(file, monkeypatch):
    player = Player(file)
    fast, calls = player.process, []
    monkeypatch.setattr(player, "process", lambda x: (calls.append(0), time.sleep(0.05 * (len(calls) > 9)), fast(x))[-1])
    engine = Engine(player, 1024, RATE, slack=1024)
    x = np.random.default_rng(2).standard_normal(6 * 1024).astype(np.float32)
    y = through(engine, x)[:, 0]
    engine.stop()
    assert engine.late in (5, 6)  # a busy machine may be late with the first one too
    assert engine.worst > 0.05
    assert y[engine.delay:] == pytest.approx(echo(x)[: -engine.delay], abs=1e-6)


def test_periods_of_one_host_buffer_are_one_xrun(file):
    engine = Engine(Player(file), 2 * HOP, RATE)
    source, target = np.zeros((HOP, 1), np.float32), np.zeros((HOP, 1), np.float32)
    for xrun in (None, 0.5, 0.5, None, 0.7, 0.9, 0.9):
        engine.process_period(source, target, xrun)
    engine.stop()
    assert engine.xruns == 3


# ---- errors for people

def test_files_that_cannot_be_played(tmp_path, file):
    text, silent = tmp_path / "text.ts", tmp_path / "silent.ts"
    text.write_text("no TorchScript")
    torch.jit.script(nn.ReLU()).save(str(silent))
    fails("gone.ts: no such file", "live", f"file={tmp_path / 'gone.ts'}")
    fails("text.ts: not a TorchScript file", "live", f"file={text}")
    fails("silent.ts: its forward is not audio to audio", "live", f"file={silent}")
    fails("block: 100 is no multiple of this file's hop, 64; 128 is one", "live", f"file={file}", "block=100")
    fails("compute: there is no 'tpu' here", "live", f"file={file}", "compute=tpu")
    fails("file: needs a value", "live")


def test_the_missing_package_and_library(file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    for arguments in (["devices=true"], [f"file={file}"]):
        fails("pip install 'rave_lite[live]'", "live", *arguments)
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sounddevice")
    fails("apt install libportaudio2", "live", "devices=true")


# ---- a real stream

@pytest.fixture
def jack():
    if not importlib.util.find_spec("sounddevice") or not ctypes.util.find_library("portaudio"):
        pytest.skip("no sounddevice: apt install libportaudio2; pip install 'rave_lite[live]'")
    with dummy_card(RATE, PERIOD) as card:
        yield card


def start(jack: Jack, *arguments: object, cwd: Path, stdin: int = subprocess.DEVNULL,
          stdout: int = subprocess.PIPE) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "rave_lite", "live", *map(str, arguments)], env=jack.env, cwd=cwd,
                            text=True, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)


PROBE = """
import sys
import numpy as np, sounddevice
x = np.load(sys.argv[1])
device = next(d["index"] for d in sounddevice.query_devices() if d["name"].startswith("PortAudio"))
y = sounddevice.playrec(x, int(sys.argv[3]), channels=1, device=device, latency="low", blocking=True)
np.save(sys.argv[2], y[:, 0])
"""


def test_a_real_stream_plays_the_model(jack, file, tmp_path, signal_in):
    """Another program plays noise into the running command and records its output."""
    live = start(jack, f"file={file}", "seconds=3", "block=1024", "slack=512", cwd=tmp_path)
    title = live.stdout.readline()
    np.save(tmp_path / "x.npy", signal_in)
    subprocess.run([sys.executable, "-c", PROBE, tmp_path / "x.npy", tmp_path / "y.npy", str(RATE)], env=jack.env,
                   check=True)
    said, errors = live.communicate(timeout=30)
    assert live.returncode == 0, errors
    summary = re.fullmatch(r"(\d+) blocks, (\d+) xruns, (\d+) late; a block takes .* ms \(\d+%\), at worst .*",
                           said.splitlines()[-1])
    assert summary, said
    assert int(summary[1]) == pytest.approx(3 * RATE / 1024, rel=0.1)

    positions = [find(part, np.load(tmp_path / "y.npy")) for part in echo(signal_in)[: 20 * 2048].reshape(20, 2048)]
    lags = [at - 2048 * i for i, at in enumerate(positions) if at is not None]
    assert len(lags) > 10, positions  # all of them, but for xruns on a busy machine
    stated = float(re.search(r"latency (\d+) ms", title)[1]) * RATE / 1000
    assert np.median(lags) == pytest.approx(stated + PERIOD, abs=PERIOD)  # the recording program adds its own period


def find(part: np.ndarray, whole: np.ndarray) -> int | None:
    """The sample at which `part` begins in `whole`; None where it is not in it."""
    n = len(whole) + len(part)
    at = int(np.fft.irfft(np.fft.rfft(whole, n) * np.fft.rfft(part, n).conj(), n)[: len(whole) - len(part)].argmax())
    return at if np.abs(whole[at:at + len(part)] - part).max() < 1e-6 else None


def test_other_rates_and_the_list_of_cards(jack, tmp_path):
    torch.jit.script(Echo(48000)).save(str(tmp_path / "other.ts"))
    refused = start(jack, f"file={tmp_path / 'other.ts'}", cwd=tmp_path)
    listed = start(jack, "devices=true", cwd=tmp_path)
    said = refused.communicate(timeout=30)[1]
    assert refused.returncode == 2
    assert "system cannot run at 48000 Hz, only at 44100; rave-lite export sample_rate=44100 makes" in said
    assert re.search(r"0 . system . JACK .* 2 . +2 . 44100", listed.communicate(timeout=30)[0])


def test_a_terminal_and_a_card_that_goes_away(jack, file, tmp_path):
    """Keys turn the dials; when JACK's server ends, so does the command, and the terminal is as it was."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    live = start(jack, f"file={file}", "gain=-3", "dry_wet=0.5", cwd=tmp_path, stdin=theirs, stdout=theirs)
    until(ours, "dry/wet 50 %   gain -3.0 dB")
    assert termios.tcgetattr(theirs) != before
    for key, shown in (("\x1b[D", "dry/wet 45 %"), ("\x1b[A", "gain -2.0 dB"), (" ", "dry/wet bypassed"), ("r", "reset")):
        os.write(ours, key.encode())
        until(ours, shown)
    jack.server.terminate()
    said = live.communicate(timeout=20)[1]
    assert live.returncode == 2
    assert said == "rave-lite: the sound card stopped: was it unplugged, or its server ended?\n"
    assert termios.tcgetattr(theirs) == before


def until(terminal: int, text: str) -> None:
    """Read what a terminal shows until `text` comes."""
    shown, end = "", time.monotonic() + 20
    while text not in shown:
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
