"""What a real run leaves in the tables, in TensorBoard's event files and in wandb's offline run, read back from each."""

import csv
import os
import pty
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import wandb
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import AUDIO, IMAGES, SCALARS, TENSORS, EventAccumulator

from rave_lite.model import read_checkpoint
from rave_lite.training.loggers import Tables, TensorBoard, WeightsAndBiases, in_netrc
from tests.conftest import SETTINGS
from tests.runs import run, stop_at
from tests.training import wandb_file

NAMES = ["tabla é 🥁", "it's a <b>bold</b> one".replace("/", " "), 'q"uote a.b,c', "鼓" * 83]
LISTENED = [0, 5, 10, 12]  # every 5 steps of 12, and at the first and last; validations are at 4, 8 and 12
ACCOUNT = ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "NETRC")


class Proxy:
    """All of the network that a process is told of: counts who comes, and answers nobody."""

    def __init__(self):
        self.socket, self.visits = socket.create_server(("127.0.0.1", 0)), 0
        threading.Thread(target=self._listen, daemon=True).start()
        where = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.env = {name: where for kind in ("http", "https", "all") for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY")}

    def _listen(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            self.visits += 1
            connection.close()


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> tuple[Path, Proxy, str]:
    """A run with all loggers by the command itself, at a terminal, where nobody is logged in or types anything."""
    folder, proxy = tmp_path_factory.mktemp("logged"), Proxy()
    rng = np.random.default_rng(0)
    (folder / "audio").mkdir()
    for name in NAMES:
        soundfile.write(folder / f"audio/{name}.wav", rng.uniform(-0.3, 0.3, 17640) * np.geomspace(1, 0.01, 17640), 44100)
    env = {k: v for k, v in os.environ.items() if k not in ACCOUNT} | proxy.env
    env |= {"NETRC": f"{folder}/none", "WANDB_CONFIG_DIR": str(folder)}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "rave_lite", "train", "logger=wandb", f"out={folder}/run", f"data.root={folder}/audio",
               f"data.cache={folder}/cache", "data.held_out=0.5", "callbacks.listen.every=5", *SETTINGS]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # the other end is closed
        pass
    assert process.wait(120) == 0, said.decode()
    return folder / "run", proxy, said.decode()


def tables(out: Path) -> Path:
    (folder,) = (out / "logs/csv").iterdir()
    return folder


def events(out: Path) -> EventAccumulator:
    return EventAccumulator(str(out / "logs/tensorboard"), {SCALARS: 0, AUDIO: 0, IMAGES: 0, TENSORS: 0}).Reload()


def offline(out: Path) -> list[Path]:
    wandb.teardown()  # wait for its process, which writes
    return sorted(out.glob("wandb/offline-run-*/run-*.wandb"))


def written(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """By name, the steps and values in metrics.csv."""
    entries: dict[str, list[tuple[int, float]]] = {}
    for row in csv.DictReader((folder / "metrics.csv").open()):
        for name in (name for name, value in row.items() if value and name != "step"):
            entries.setdefault(name, []).append((int(row["step"]), float(row[name])))
    return entries


def test_the_same_numbers_at_the_same_steps(logged):
    out, _, _ = logged
    numbers, board = written(tables(out)), events(out)
    assert [step for step, _ in numbers["phase"]] == [0, *range(1, 7), 6, *range(7, 13)]
    assert [step for step, _ in numbers["held_out/mel_db"]] == LISTENED
    assert [step for step, _ in numbers["held_out/distance"]] == [4, 8, 12]
    assert {"loss/linear", "loss/discriminator", "lr/generator", "train/distance", "gap", "memorised"} <= numbers.keys()
    assert set(board.Tags()["scalars"]) == numbers.keys()
    rows = wandb_file.history(offline(out)[0])
    for name, entries in numbers.items():
        assert [(e.step, e.value) for e in board.Scalars(name)] == [(step, pytest.approx(v, 1e-6)) for step, v in entries]
        assert [(row["step"], row[name]) for row in rows if name in row] == entries
    assert any(record.metric.step_metric == "step" for record in wandb_file.records(offline(out)[0]))


def test_the_same_sounds_and_pictures(logged):
    """The reconstructions at each listening and the originals once, all as one would read and compute them oneself."""
    out, _, _ = logged
    board, rows, folder = events(out), wandb_file.history(offline(out)[0]), offline(out)[0].parent / "files"
    listening = tables(out) / "listening"
    assert sorted(path.name for path in listening.iterdir()) == [f"step_{step:07}" for step in LISTENED]
    names = sorted(str(p.relative_to(listening / "step_0000000").with_suffix("")) for p in listening.glob("*00/*/*.wav"))
    assert len(names) == 4  # two files are held out
    for name in names:
        steps = LISTENED if name.startswith("held_out/") else [0]
        sound_events, logs = board.Audio(name), [row for row in rows if f"{name}.path" in row]
        assert [e.step for e in sound_events] == [row["step"] for row in logs] == steps
        for event, row in zip(sound_events, logs, strict=True):
            path = listening / f"step_{event.step:07}/{name}.wav"
            (out / "one.wav").write_bytes(event.encoded_audio_string)
            sounds = [soundfile.read(p) for p in (path, out / "one.wav", folder / row[f"{name}.path"])]
            assert [rate for _, rate in sounds] == [44100] * 3
            for sound, _ in sounds[1:]:
                assert sound == pytest.approx(sounds[0][0], abs=1.5 / 32768)
        if name.startswith("original/"):
            file = out.parent / f"audio/{name.partition('_')[2]}.wav"
            assert soundfile.read(path)[0] == pytest.approx(soundfile.read(file)[0], abs=1e-6)
    pictured = board.Images("held_out/spectrograms")
    logs = [row for row in rows if "held_out/spectrograms.path" in row]
    assert [e.step for e in pictured] == [row["step"] for row in logs] == LISTENED
    for row in logs:
        sizes = {Image.open(p).size for p in (listening / f"step_{row['step']:07}/held_out/spectrograms.png",
                                              folder / row["held_out/spectrograms.path"])}
        assert all(min(size) > 100 for size in sizes)


def test_the_same_configuration_and_marks(logged):
    out, _, _ = logged
    config = read_checkpoint(out / "checkpoints/last.ckpt").settings
    assert config["data"].pop("split")["files"]  # for the checkpoints alone
    assert yaml.safe_load((tables(out) / "config.yaml").read_text()) == config
    logged_settings = wandb_file.settings(offline(out)[0])
    assert {k: v for k, v in logged_settings.items() if k != "_wandb"} == config
    board = events(out)

    def text(tag: str) -> list[tuple[int, str]]:
        return [(e.step, e.tensor_proto.string_val[0].decode()) for e in board.Tensors(f"{tag}/text_summary")]

    ((step, shown),) = text("config")
    assert step == 0
    assert yaml.safe_load(shown) == config
    assert {"_hparams_/experiment", "_hparams_/session_start_info"} <= board.summary_metadata.keys()

    marks = [(0, "the run begins"), (6, "phase 2 begins")]
    with (tables(out) / "marks.csv").open() as file:
        assert [(int(row["step"]), row["mark"]) for row in csv.DictReader(file)] == marks
    assert text("mark") == marks
    assert [(row["step"], row["mark"]) for row in wandb_file.history(offline(out)[0]) if "mark" in row] == marks
    assert wandb_file.summary(offline(out)[0])["phase 2 begins"] == 6
    phases = dict(written(tables(out))["phase"])
    assert [phases[step] for step in range(13)] == [1] * 6 + [2] * 7


def test_without_an_account_nobody_is_called_or_asked(logged):
    out, proxy, said = logged
    assert proxy.visits == 0
    assert "Enter your choice" not in said
    assert "API key" not in said
    ends = [record.exit.exit_code for record in wandb_file.records(offline(out)[0]) if record.HasField("exit")]
    assert ends == [0]


@pytest.mark.slow
def test_weights_and_biases_goes_on_in_the_same_run_and_another_run_is_another(settings, tmp_path, monkeypatch):
    """Also in one process, as a sweep has it."""
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        run(tmp_path / "one", *settings, "logger=wandb")
    run(tmp_path / "one", "resume=last", *settings, "logger=wandb")
    run(tmp_path / "two", *settings, "logger=wandb", "phase2.steps=0", "callbacks.listen.every=null")
    (one, more), (two,) = (offline(tmp_path / name) for name in ("one", "two"))
    assert one.name == more.name != two.name  # run-ID.wandb
    for path, steps in ((one, range(1, 4)), (more, range(4, 13)), (two, range(1, 7))):
        assert [row["step"] for row in wandb_file.history(path) if "lr/generator" in row] == [*steps]
        assert [r.exit.exit_code for r in wandb_file.records(path) if r.HasField("exit")] == [0]
    assert [row["mark"] for row in wandb_file.history(more) if "mark" in row] == ["the run goes on", "phase 2 begins"]


def test_an_account_that_cannot_be_reached_does_not_stop_a_run(tmp_path, monkeypatch, capfd):
    inner = wandb.init

    def no_network(mode, **options):
        if mode == "online":
            raise wandb.errors.CommError("timed out")
        return inner(mode=mode, **options)

    monkeypatch.setattr(wandb, "init", no_network)
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    logger = WeightsAndBiases("rave_lite", "drums", str(tmp_path))
    logger.log_metrics({"loss": 1.5}, 3)
    logger.finalize("success")
    assert "cannot be reached, so this run is logged offline (timed out)" in capfd.readouterr().out
    (path,) = offline(tmp_path)
    assert [(row["step"], row["loss"]) for row in wandb_file.history(path)] == [(3, 1.5)]


def test_tables_take_new_columns_at_any_time(tmp_path):
    table = Tables(str(tmp_path))
    table.log_metrics({"b": 0.1}, 1)
    table.log_metrics({"a": 1 / 3, "b": float("nan")}, 2)
    table.log_metrics({"é,\"": 3.0}, 3)
    rows = list(csv.DictReader((tmp_path / "version_0/metrics.csv").open()))
    assert rows == [{"step": "1", "a": "", "b": "0.1", "é,\"": ""}, {"step": "2", "a": str(1 / 3), "b": "nan", "é,\"": ""},
                    {"step": "3", "a": "", "b": "", "é,\"": "3.0"}]


def test_tensorboard_hides_what_a_killed_run_logged_beyond_its_checkpoint(tmp_path):
    for resumed, steps in ((None, range(1, 11)), (6, range(7, 13))):
        board = TensorBoard(str(tmp_path / "logs/tensorboard"))
        board.resumed = resumed
        for step in steps:
            board.log_metrics({"loss": step + (0.5 if resumed else 0.25)}, step)
            board.save()  # and no end: the first is killed
        time.sleep(1.1)  # the second's file is named after a later second
    assert [(e.step, e.value) for e in events(tmp_path).Scalars("loss")] == [
        *((step, step + 0.25) for step in range(1, 7)), *((step, step + 0.5) for step in range(7, 13))]


@pytest.mark.parametrize(("content", "expected"), [
    ("machine api.wandb.ai\n login me\n password x\n", True), ("machine other.org\n login me\n password x\n", False),
    ("no netrc file", False), (None, False)])
def test_an_account_is_looked_for_in_the_netrc_file(content, expected, tmp_path, monkeypatch):
    if content is not None:
        (tmp_path / "netrc").write_text(content)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert in_netrc("https://api.wandb.ai") == expected
