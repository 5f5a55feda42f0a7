"""Loggers of a run: tables and sounds in a folder, TensorBoard, Weights & Biases. Steps are counted by the module.

All get the same configuration, numbers, marks, sounds and pictures. Only the first of several processes writes.
"""

import csv
import netrc
import os
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import yaml
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from rave_lite.data import audio, outputs
from rave_lite.evaluation import pictures
from rave_lite.files import write_csv

SPECTROGRAMS = "held_out/spectrograms"


class RunLogger(Logger):
    """A logger that also takes marks, sounds and pictures. It writes and asks nothing before the first entry."""

    resumed: int | None = None  # the step at which the run resumes

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def version(self) -> str:
        return ""

    @abstractmethod
    def mark(self, what: str, step: int) -> None:
        """Write that `what` happened at a step."""

    @abstractmethod
    def listen(self, sounds: dict[str, np.ndarray], picture: Figure | None, sample_rate: int, step: int) -> None:
        """Write sounds `(T,)` or `(2, T)` within full scale, by name, and a picture of their spectrograms."""


class Tables(RunLogger):
    """Writes metrics.csv, marks.csv, config.yaml and listening/step_N/NAME.wav into a new folder `folder`/version_N.

    Each start has its own folder, so a resumed run keeps what the first part logged. Written lines survive a kill.
    """

    def __init__(self, folder: str):
        super().__init__()
        self.root = Path(folder)
        self.columns = ["step"]

    @cached_property
    def folder(self) -> Path:
        numbers = [int(n) for path in self.root.glob("version_*") if (n := path.name.removeprefix("version_")).isdigit()]
        version = self.root / f"version_{max(numbers, default=-1) + 1}"
        version.mkdir(parents=True)
        return version

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]
        (self.folder / "config.yaml").write_text(as_yaml(params), encoding="utf-8")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        path, columns = self.folder / "metrics.csv", ["step", *sorted({*self.columns[1:], *metrics})]
        if columns != self.columns:
            rows = list(csv.DictReader(path.open(newline="", encoding="utf-8"))) if path.exists() else []
            write_csv(path, columns, ([row.get(name, "") for name in columns] for row in rows))
            self.columns = columns
        append(path, [step, *(metrics.get(name, "") for name in columns[1:])])

    @rank_zero_only
    def mark(self, what: str, step: int) -> None:
        path = self.folder / "marks.csv"
        if not path.exists():
            append(path, ["step", "mark"])
        append(path, [step, what])

    @rank_zero_only
    def listen(self, sounds: dict[str, np.ndarray], picture: Figure | None, sample_rate: int, step: int) -> None:
        for name, sound in sounds.items():
            outputs.save(self.folder / f"listening/step_{step:07}" / f"{name}.wav", sound, sample_rate)
        if picture:
            pictures.save(picture, self.folder / f"listening/step_{step:07}" / f"{SPECTROGRAMS}.png")


class TensorBoard(RunLogger):
    """Writes event files to `folder`. A resumed run adds one that hides what was logged after the checkpoint."""

    def __init__(self, folder: str):
        super().__init__()
        self.folder = folder

    @cached_property
    def writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(self.folder, purge_step=None if self.resumed is None else self.resumed + 1)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]
        from torch.utils.tensorboard.summary import hparams

        text = "".join(f"    {line}\n" for line in as_yaml(params).splitlines())  # indented: shown as it is
        self.writer.add_text("config", text, self.resumed or 0)
        for summary in hparams(flat(params), {"held_out/distance": 0.0}):  # a table of runs, beside their distances
            self.writer.file_writer.add_summary(summary)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    @rank_zero_only
    def mark(self, what: str, step: int) -> None:
        self.writer.add_text("mark", what, step)

    @rank_zero_only
    def listen(self, sounds: dict[str, np.ndarray], picture: Figure | None, sample_rate: int, step: int) -> None:
        for name, sound in sounds.items():
            self.writer.add_audio(name, audio.mix(sound), step, sample_rate)  # TensorBoard has one channel
        if picture:
            self.writer.add_figure(SPECTROGRAMS, picture, step, close=False)

    @rank_zero_only
    def save(self) -> None:
        self.writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if "writer" in self.__dict__:
            self.writer.close()


class WeightsAndBiases(RunLogger):
    """Logs to Weights & Biases, with files in `folder`/wandb. Without an account it is offline and asks for none.

    A resumed run has the id of its first part in `folder`: synchronised one after the other, they are one run. A kill loses
    what was logged in the last 15 s.
    """

    def __init__(self, project: str, name: str, folder: str):
        super().__init__()
        self.project, self.run_name, self.folder = project, name, Path(folder)

    @cached_property
    def run(self) -> Any:
        import wandb

        host = os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url
        has_account = (os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
                       or any(map(in_netrc, (host, "https://api.wandb.ai"))))
        mode: Any = os.environ.get("WANDB_MODE") or ("online" if has_account else "offline")
        if mode == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else wandb would report errors online all the same
        self.folder.mkdir(parents=True, exist_ok=True)  # else wandb would choose another folder
        settings: dict[str, Any] = {"project": self.project, "name": self.run_name, "dir": self.folder,
                                    "id": self.resumed_id(), "resume": "allow", "reinit": "create_new",
                                    "settings": wandb.Settings(quiet=True)}
        try:
            run = wandb.init(mode=mode, **settings)
        except wandb.errors.CommError as error:
            print(f"Weights & Biases cannot be reached, so this run is logged offline ({str(error).splitlines()[0]})")
            run = wandb.init(mode="offline", **settings)
        run.define_metric("*", step_metric="step")
        return run

    def resumed_id(self) -> str | None:
        """The id of the run that is resumed, or None."""
        parts = [] if self.resumed is None else sorted((self.folder / "wandb").glob("*run-*_*-*"), key=os.path.getmtime)
        return parts[-1].name.rpartition("-")[2] if parts else None

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]
        self.run.config.update(params, allow_val_change=True)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.run.log({**metrics, "step": step})

    @rank_zero_only
    def mark(self, what: str, step: int) -> None:
        self.run.log({"mark": what, "step": step})
        self.run.summary[what] = step

    @rank_zero_only
    def listen(self, sounds: dict[str, np.ndarray], picture: Figure | None, sample_rate: int, step: int) -> None:
        import wandb

        media: dict[str, Any] = {name: wandb.Audio(sound.T, sample_rate) for name, sound in sounds.items()}
        if picture:
            media[SPECTROGRAMS] = wandb.Image(picture)
        self.log_metrics(media, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if "run" in self.__dict__:
            self.run.finish(exit_code=0 if status == "success" else 1)


def append(path: Path, row: list[Any]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(row)


def in_netrc(url: str) -> bool:
    """Whether the user's netrc file (or that of NETRC) has a login for the host."""
    paths = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    path = next((path for path in (Path(p).expanduser() for p in paths) if path.exists()), None)
    try:
        return path is not None and netrc.netrc(path).authenticators(urlsplit(url).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def as_yaml(config: dict[str, Any]) -> str:
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def flat(config: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Nested settings by dotted names, without a manifest's regions; all but numbers and booleans become text."""
    flattened: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flattened |= flat(value, f"{key}{name}.") if f"{key}{name}" != "data.kept" else {}
        else:
            flattened[f"{key}{name}"] = value if isinstance(value, bool | int | float) else str(value)
    return flattened
