"""The runs of a learning curve: which there are, what each is told, how far it is, and that they may be compared."""

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

OWN = ("fractions", "seeds", "influence", "influence_steps", "plan_only")  # settings that a run does not have
FREE = ("out", "name", "seed", "threads", "memory_limit", "callbacks", "logger", *OWN)  # may change between two commands
FREE_OF_DATA = ("root", "manifest", "cache", "cache_gb", "workers", "subset_seed")


@dataclass(frozen=True)
class Run:
    """One training. `steps`: of each phase; `without`: the file left out for its influence; `clips`: trained on."""

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
        """The file that says how the finished run was judged."""
        return self.folder / "distances.json"

    def step(self) -> int:
        """How far it is."""
        if self.distances.exists():
            return json.loads(self.distances.read_text())["step"]
        return read_checkpoint(self.last)["step"] if self.last.exists() else 0

    def left(self) -> tuple[int, int]:
        """Steps of each phase that are still to do."""
        step, (first, second) = self.step(), self.steps
        return max(0, first - step), min(second, max(0, first + second - step))

    def point(self, sample_rate: int) -> Point:
        """Of a finished run."""
        judged = json.loads(self.distances.read_text())
        minutes = sum(map(len, self.clips)) / sample_rate / 60
        return Point(self.fraction, minutes, self.seed, judged["held_out"], judged["train"], self.without)

    def config(self, whole: DictConfig) -> DictConfig:
        """Of `train`, from that of the curve."""
        made = copy.deepcopy(whole)
        with open_dict(made):
            for key in OWN:
                del made[key]
            made.data.split_seed = whole.data.split_seed  # resolved before seed changes
            made.data.subset_seed, made.data.fraction = self.seed, self.fraction
            made.data.without = left_out(whole, self.without)
            made.out, made.seed, made.resume = str(self.folder), self.seed, "auto"
            made.phase1.steps, made.phase2.steps = self.steps
        return made


@dataclass(frozen=True)
class Plan:
    """The runs of the curve, and for the influence of files: those with all of them, and those without each."""

    curve: list[Run]
    whole: list[Run]
    without: list[Run]

    @property
    def runs(self) -> list[Run]:
        """Each once."""
        return list({run.folder: run for run in [*self.curve, *self.whole, *self.without]}.values())

    def said(self, found: Catalogue, todo: int) -> str:
        """For people, before it begins."""
        seeds = dict.fromkeys(run.seed for run in self.curve)
        lines = []
        for f in dict.fromkeys(run.fraction for run in self.curve):
            mine = [run for run in self.curve if run.fraction == f]
            minutes = sum(found.minutes(run.clips) for run in mine) / len(mine)
            files = len({clip.source for clip in mine[0].clips})
            lines.append(f"  fraction {f:g}: {files} file{'s' * (files > 1)}, {amount(minutes)} to train on")
        if self.without:
            steps = sum(self.without[0].steps)
            lines.append(f"  without each of {len(self.without) // len(seeds)} training files, "
                         f"{steps} step{'s' * (steps > 1)} each")
        held = len({clip.source for clip in found.held_out})
        lines.append(f"each with seed {', '.join(map(str, seeds))}; all judged by the same {held} held-out "
                     f"file{'s' * (held > 1)}, {amount(found.minutes(found.held_out))}")
        done = f", {len(self.runs) - todo} of them finished" if todo < len(self.runs) else ""
        each = " + ".join(map(str, self.curve[0].steps))
        lines.append(f"{len(self.runs)} runs{done}; of the curve each takes {each} steps")
        return "\n".join(lines)


def planned(config: DictConfig, found: Catalogue) -> Plan:
    """Raises InputError where a fraction leaves nothing to train on, or no more than another one does."""
    out, fractions, seeds = Path(config.out), sorted(config.fractions), list(config.seeds)
    steps = (config.phase1.steps, config.phase2.steps)
    curve = [run(config, found, out / f"fraction-{f:g}+seed-{s}", f, s, steps) for f in fractions for s in seeds]
    for one, two in pairwise(r for r in curve if r.seed == seeds[0]):
        if one.clips == two.clips:
            files = len({clip.source for clip in one.clips})
            raise InputError(f"fractions: {one.fraction:g} and {two.fraction:g} of the training files are the same {files}; "
                             f"say fractions=[{','.join(f'{f:g}' for f in fractions if f != one.fraction)}]")
    if not config.influence:
        return Plan(curve, [], [])
    sources = sorted({clip.source for clip in select_training_subset(found, without=left_out(config)).train})
    if len(sources) < 2:
        raise InputError("influence: there is one file to train on; it cannot be left out")
    less = (config.influence_steps or max(1, config.phase1.steps // 4), 0)
    shared = less == steps and 1 in fractions
    if less != steps:
        steps, out = less, out / f"influence-{less[0]}-steps"
    whole = [r for r in curve if r.fraction == 1] if shared else [
        run(config, found, out / f"seed-{s}", 1, s, steps) for s in seeds]
    without = [run(config, found, out / f"{folder_name(f'without-{name}')}+seed-{s}", 1, s, steps, name)
               for name in sources for s in seeds]
    return Plan(curve, whole, without)


def run(config: DictConfig, found: Catalogue, folder: Path, fraction: float, seed: int, steps: tuple[int, int],
        without: str | None = None) -> Run:
    try:
        clips = select_training_subset(found, fraction=fraction, seed=seed, without=left_out(config, without)).train
    except InputError as error:
        raise InputError(str(error).replace("data.fraction:", "fractions:")) from error
    return Run(folder, fraction, seed, steps, clips, without)


def left_out(config: DictConfig, name: str | None = None) -> list[str]:
    """`name`, and what is left out of all runs."""
    asked = config.data.without
    return [*([] if name is None else [name]), *([asked] if isinstance(asked, str) else asked)]


def comparable(config: DictConfig, plain: dict[str, Any], found: Catalogue, keep: bool) -> None:
    """Raises InputError where the runs in `out` had other settings or recordings; `keep`: remember these for next time."""
    settings = {k: v for k, v in plain.items() if k not in FREE}
    settings["data"] = {k: v for k, v in settings["data"].items() if k not in FREE_OF_DATA}
    seconds: dict[str, dict[str, float]] = {side: {} for side in ("train", "held_out")}
    for side, clips in (("train", found.train), ("held_out", found.held_out)):
        for clip in clips:
            seconds[side][clip.source] = seconds[side].get(clip.source, 0) + round(len(clip) / found.sample_rate, 3)
    record = json.loads(json.dumps({**settings, "recordings": seconds}))
    path = Path(config.out) / "curve.json"
    if path.exists():
        before = json.loads(path.read_text())
        for key, one, two in differences(before, record):
            raise InputError(f"{config.out} holds runs that cannot be compared with these: {key} was {one}, is now {two}; "
                             f"say another name=, or as it was")
    elif keep:
        with replacing(path) as aside:
            aside.write_text(json.dumps(record, indent=1) + "\n")


def differences(one: Any, two: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two plain structures are not the same: the dotted key and both values."""
    if isinstance(one, dict) and isinstance(two, dict):
        for k in {**one, **two}:
            yield from differences(one.get(k, "none"), two.get(k, "none"), f"{key}.{k}" if key else k)
    elif one != two:
        yield key, one, two


def commands(config: DictConfig, runs: Sequence[Run]) -> list[list[str]]:
    """`rave-lite train --multirun` for the unfinished of `runs`, for the launcher that was asked for."""
    asked = HydraConfig.get().overrides
    mine = ("out", "seed", "data.without", "data.subset_seed", "data.split_seed", *OWN)
    typed = [o for o in asked.task if o.lstrip("+~").partition("=")[0] not in mine]
    launcher = [o for o in asked.hydra if o.lstrip("+~").startswith(("hydra/launcher", "hydra.launcher"))]
    logger = [] if any(o.startswith("logger=") for o in typed) else ["logger=csv"]
    found = []
    for kind, parent in dict.fromkeys((r.folder.name.partition("-")[0], r.folder.parent) for r in runs):
        group = [r for r in runs if (r.folder.name.partition("-")[0], r.folder.parent) == (kind, parent)]
        fractions = ",".join(dict.fromkeys(f"{r.fraction:g}" for r in group))
        seeds = ",".join(dict.fromkeys(str(r.seed) for r in group))
        lists = ([quoted(name) for name in left_out(config, without)] for without in dict.fromkeys(r.without for r in group))
        name = {"fraction": "fraction-${data.fraction}+", "seed": "",
                "without": "${folder_name:without-${data.without.0}}+"}[kind]
        found.append([sys.executable, "-m", "rave_lite", "train", "--multirun", *launcher, *logger, *typed, f"out={parent}",
                      f"data.fraction={fractions}", f"seed={seeds}", f"data.split_seed={config.data.split_seed}",
                      "data.without=" + ",".join(f"[{','.join(names)}]" for names in lists), "resume=auto",
                      f"phase1.steps={group[0].steps[0]}", f"phase2.steps={group[0].steps[1]}",
                      "hydra.sweep.subdir=" + quoted(f"{name}seed-${{seed}}")])
    return found
