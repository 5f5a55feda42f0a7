"""The runs of a learning curve: their settings, their progress, and the check that they are comparable."""

import copy
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from rave_lite.data import Catalogue, Clip, select_training_subset
from rave_lite.errors import InputError
from rave_lite.evaluation.learning_curve import Point, amount
from rave_lite.files import replacing
from rave_lite.jobs.overrides import quoted
from rave_lite.jobs.sweep import folder_name
from rave_lite.model import read_checkpoint

CURVE_KEYS = ("fractions", "seeds", "influence", "influence_steps", "plan_only")  # a single run lacks these
# settings that may differ between two commands for one curve
IGNORED_KEYS = ("out", "name", "seed", "threads", "memory_limit", "callbacks", "logger", *CURVE_KEYS)
IGNORED_DATA_KEYS = ("root", "manifest", "cache", "cache_gb", "workers", "subset_seed")


@dataclass(frozen=True)
class Run:
    """One training. `steps`: per phase; `clips`: training clips; `without`: the file left out to measure its influence."""

    folder: Path
    fraction: float
    seed: int
    steps: tuple[int, int]
    clips: list[Clip]
    without: str | None = None

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints/last.ckpt"

    @property
    def distances(self) -> Path:
        """The file with the held-out and training distance of the finished run."""
        return self.folder / "distances.json"

    def step(self) -> int:
        """The current step; 0 before the first checkpoint."""
        if self.distances.exists():
            return json.loads(self.distances.read_text())["step"]
        return read_checkpoint(self.last).step if self.last.exists() else 0

    def remaining(self) -> tuple[int, int]:
        """The remaining steps of each phase."""
        step, (first, second) = self.step(), self.steps
        return max(0, first - step), min(second, max(0, first + second - step))

    def point(self, sample_rate: int) -> Point:
        """The point of a finished run on the curve."""
        distances = json.loads(self.distances.read_text())
        minutes = sum(map(len, self.clips)) / sample_rate / 60
        return Point(self.fraction, minutes, self.seed, distances["held_out"], distances["train"], self.without)

    def config(self, curve_config: DictConfig) -> DictConfig:
        """The configuration of `train` for this run, from the configuration of the curve."""
        config = copy.deepcopy(curve_config)
        with open_dict(config):
            for key in CURVE_KEYS:
                del config[key]
            config.data.split_seed = curve_config.data.split_seed  # resolved before seed changes
            config.data.subset_seed, config.data.fraction = self.seed, self.fraction
            config.data.without = left_out(curve_config, self.without)
            config.out, config.seed, config.resume = str(self.folder), self.seed, "auto"
            config.phase1.steps, config.phase2.steps = self.steps
        return config


@dataclass(frozen=True)
class Plan:
    """All runs: those of the curve; and for the influence of files, the runs with all files and those without each one."""

    curve: list[Run]
    whole: list[Run]
    without: list[Run]

    @property
    def runs(self) -> list[Run]:
        """Every run once, though curve and influence may share some."""
        return list({run.folder: run for run in [*self.curve, *self.whole, *self.without]}.values())

    def summary(self, catalogue: Catalogue, todo: int) -> str:
        """The plan in words, printed before training begins."""
        seeds = dict.fromkeys(run.seed for run in self.curve)
        lines = []
        for f in dict.fromkeys(run.fraction for run in self.curve):
            runs_of_fraction = [run for run in self.curve if run.fraction == f]
            minutes = sum(catalogue.minutes(run.clips) for run in runs_of_fraction) / len(runs_of_fraction)
            files = len({clip.source for clip in runs_of_fraction[0].clips})
            lines.append(f"  fraction {f:g}: {files} file{'s' * (files > 1)}, {amount(minutes)} to train on")
        if self.without:
            steps = sum(self.without[0].steps)
            lines.append(f"  without each of {len(self.without) // len(seeds)} training files, "
                         f"{steps} step{'s' * (steps > 1)} each")
        held_out_files = len({clip.source for clip in catalogue.held_out})
        lines.append(f"each with seed {', '.join(map(str, seeds))}; all judged by the same {held_out_files} held-out "
                     f"file{'s' * (held_out_files > 1)}, {amount(catalogue.minutes(catalogue.held_out))}")
        done = f", {len(self.runs) - todo} of them finished" if todo < len(self.runs) else ""
        each = " + ".join(map(str, self.curve[0].steps))
        lines.append(f"{len(self.runs)} runs{done}; of the curve each takes {each} steps")
        return "\n".join(lines)


def planned(config: DictConfig, catalogue: Catalogue) -> Plan:
    """The runs that `config` asks for. Raises InputError if a fraction selects no files, or the same files as another."""
    out, fractions, seeds = Path(config.out), sorted(config.fractions), list(config.seeds)
    steps = (config.phase1.steps, config.phase2.steps)
    curve = [run(config, catalogue, out / f"fraction-{f:g}+seed-{s}", f, s, steps) for f in fractions for s in seeds]
    for smaller, larger in pairwise(r for r in curve if r.seed == seeds[0]):
        if smaller.clips == larger.clips:
            files = len({clip.source for clip in smaller.clips})
            raise InputError(f"fractions: {smaller.fraction:g} and {larger.fraction:g} of the training files are the same "
                             f"{files}; say fractions=[{','.join(f'{f:g}' for f in fractions if f != smaller.fraction)}]")
    if not config.influence:
        return Plan(curve, [], [])
    sources = sorted({clip.source for clip in select_training_subset(catalogue, without=left_out(config)).train})
    if len(sources) < 2:
        raise InputError("influence: there is one file to train on; it cannot be left out")
    influence_steps = (config.influence_steps or max(1, config.phase1.steps // 4), 0)
    shared = influence_steps == steps and 1 in fractions
    if influence_steps != steps:
        steps, out = influence_steps, out / f"influence-{influence_steps[0]}-steps"
    whole = [r for r in curve if r.fraction == 1] if shared else [
        run(config, catalogue, out / f"seed-{s}", 1, s, steps) for s in seeds]
    without = [run(config, catalogue, out / f"{folder_name(f'without-{name}')}+seed-{s}", 1, s, steps, name)
               for name in sources for s in seeds]
    return Plan(curve, whole, without)


def run(config: DictConfig, catalogue: Catalogue, folder: Path, fraction: float, seed: int, steps: tuple[int, int],
        without: str | None = None) -> Run:
    """One run with its training clips. Raises InputError if there are none."""
    try:
        clips = select_training_subset(catalogue, fraction=fraction, seed=seed, without=left_out(config, without)).train
    except InputError as error:
        raise InputError(str(error).replace("data.fraction:", "fractions:")) from error
    return Run(folder, fraction, seed, steps, clips, without)


def left_out(config: DictConfig, name: str | None = None) -> list[str]:
    """The file `name`, and the files that all runs leave out."""
    excluded = config.data.without
    return [*([] if name is None else [name]), *([excluded] if isinstance(excluded, str) else excluded)]


def comparable(config: DictConfig, plain: dict[str, Any], catalogue: Catalogue, keep: bool) -> None:
    """Raises InputError if the runs in `out` had other settings or recordings. `keep`: write these to curve.json if new."""
    settings = {k: v for k, v in plain.items() if k not in IGNORED_KEYS}
    settings["data"] = {k: v for k, v in settings["data"].items() if k not in IGNORED_DATA_KEYS}
    seconds: dict[str, dict[str, float]] = {side: {} for side in ("train", "held_out")}
    for side, clips in (("train", catalogue.train), ("held_out", catalogue.held_out)):
        for clip in clips:
            seconds[side][clip.source] = seconds[side].get(clip.source, 0) + round(len(clip) / catalogue.sample_rate, 3)
    record = json.loads(json.dumps({**settings, "recordings": seconds}))
    path = Path(config.out) / "curve.json"
    if path.exists():
        before = json.loads(path.read_text())
        for key, old, new in differences(before, record):
            raise InputError(f"{config.out} holds runs that cannot be compared with these: {key} was {old}, is now {new}; "
                             f"say another name=, or as it was")
    elif keep:
        with replacing(path) as aside:
            aside.write_text(json.dumps(record, indent=1) + "\n")


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The differences of two nested dicts: the dotted key and both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for k in {**old, **new}:
            yield from differences(old.get(k, "none"), new.get(k, "none"), f"{key}.{k}" if key else k)
    elif old != new:
        yield key, old, new


def commands(config: DictConfig, runs: Sequence[Run]) -> list[list[str]]:
    """`rave-lite train --multirun` command lines for the unfinished `runs`, with the launcher chosen by the user."""
    overrides = HydraConfig.get().overrides
    own_keys = ("out", "seed", "data.without", "data.subset_seed", "data.split_seed", *CURVE_KEYS)
    typed = [o for o in overrides.task if o.lstrip("+~").partition("=")[0] not in own_keys]
    launcher = [o for o in overrides.hydra if o.lstrip("+~").startswith(("hydra/launcher", "hydra.launcher"))]
    logger = [] if any(o.startswith("logger=") for o in typed) else ["logger=csv"]
    command_lines = []
    for kind, parent in dict.fromkeys((r.folder.name.partition("-")[0], r.folder.parent) for r in runs):
        group = [r for r in runs if (r.folder.name.partition("-")[0], r.folder.parent) == (kind, parent)]
        fractions = ",".join(dict.fromkeys(f"{r.fraction:g}" for r in group))
        seeds = ",".join(dict.fromkeys(str(r.seed) for r in group))
        lists = ([quoted(name) for name in left_out(config, without)] for without in dict.fromkeys(r.without for r in group))
        name = {"fraction": "fraction-${data.fraction}+", "seed": "",
                "without": "${folder_name:without-${data.without.0}}+"}[kind]
        command_lines.append([
            sys.executable, "-m", "rave_lite", "train", "--multirun", *launcher, *logger, *typed, f"out={parent}",
            f"data.fraction={fractions}", f"seed={seeds}", f"data.split_seed={config.data.split_seed}",
            "data.without=" + ",".join(f"[{','.join(names)}]" for names in lists), "resume=auto",
            f"phase1.steps={group[0].steps[0]}", f"phase2.steps={group[0].steps[1]}",
            "hydra.sweep.subdir=" + quoted(f"{name}seed-${{seed}}")])
    return command_lines
