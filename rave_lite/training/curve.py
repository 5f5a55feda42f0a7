"""The runs of a learning curve: their plan, their progress, the check that they are comparable, and how they are judged."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from rave_lite.data import Catalogue, Clip, audible, bounded, judged, pieces, search_and_cut, select_training_subset
from rave_lite.errors import InputError, TrainingError
from rave_lite.evaluation.learning_curve import Point, amount
from rave_lite.files import folder_name, write_json
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.training.bench import duration, probe
from rave_lite.training.losses import reconstruction_distance
from rave_lite.training.module import RAVETraining
from rave_lite.training.resume import differences

CURVE_KEYS = ("fractions", "seeds", "influence", "influence_steps", "plan_only")  # settings that a single run lacks
# settings that may differ between two commands for one curve
IGNORED_KEYS = ("out", "name", "seed", "threads", "memory_limit", "callbacks", "logger", *CURVE_KEYS)
IGNORED_DATA_KEYS = ("root", "manifest", "cache", "cache_gb", "workers", "subset_seed", "split")
PIECES = 12  # how many pieces of training clips, of at most 10 s each, are judged at most


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

    def settings(self, curve: dict[str, Any]) -> dict[str, Any]:
        """The settings of `train` that distinguish this run from the `curve`, whose settings are given."""
        return {"out": str(self.folder), "seed": self.seed, "resume": "auto",
                "data": {"split_seed": curve["data"]["split_seed"], "subset_seed": self.seed, "fraction": self.fraction,
                         "without": left_out(curve, self.without)},
                "phase1": {"steps": self.steps[0]}, "phase2": {"steps": self.steps[1]}}


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


def planned(settings: dict[str, Any], catalogue: Catalogue) -> Plan:
    """The runs that `settings` ask for. Raises InputError if a fraction selects no files, or the same files as another."""
    out, fractions, seeds = Path(settings["out"]), sorted(settings["fractions"]), settings["seeds"]
    steps = (settings["phase1"]["steps"], settings["phase2"]["steps"])
    curve = [run(settings, catalogue, out / f"fraction-{f:g}+seed-{s}", f, s, steps) for f in fractions for s in seeds]
    for smaller, larger in pairwise(r for r in curve if r.seed == seeds[0]):
        if smaller.clips == larger.clips:
            files = len({clip.source for clip in smaller.clips})
            raise InputError(f"{smaller.fraction:g} and {larger.fraction:g} of the training files are the same "
                             f"{files}; say fractions=[{','.join(f'{f:g}' for f in fractions if f != smaller.fraction)}]",
                             where="fractions")
    if not settings["influence"]:
        return Plan(curve, [], [])
    sources = sorted({clip.source for clip in select_training_subset(catalogue, without=left_out(settings)).train})
    if len(sources) < 2:
        raise InputError("there is one file to train on; it cannot be left out", where="influence")
    influence_steps = (settings["influence_steps"] or max(1, steps[0] // 4), 0)
    shared = influence_steps == steps and 1 in fractions
    if influence_steps != steps:
        steps, out = influence_steps, out / f"influence-{influence_steps[0]}-steps"
    whole = [r for r in curve if r.fraction == 1] if shared else [
        run(settings, catalogue, out / f"seed-{s}", 1, s, steps) for s in seeds]
    without = [run(settings, catalogue, out / f"{folder_name(f'without-{name}')}+seed-{s}", 1, s, steps, name)
               for name in sources for s in seeds]
    return Plan(curve, whole, without)


def run(settings: dict[str, Any], catalogue: Catalogue, folder: Path, fraction: float, seed: int, steps: tuple[int, int],
        without: str | None = None) -> Run:
    """One run with its training clips. Raises InputError if there are none."""
    try:
        clips = select_training_subset(catalogue, fraction=fraction, seed=seed, without=left_out(settings, without)).train
    except InputError as error:
        raise InputError(error.what, where="fractions" if error.where == "data.fraction" else error.where) from error
    return Run(folder, fraction, seed, steps, clips, without)


def left_out(settings: dict[str, Any], name: str | None = None) -> list[str]:
    """The file `name`, and the files that all runs leave out."""
    excluded = settings["data"]["without"]
    return [*([] if name is None else [name]), *([excluded] if isinstance(excluded, str) else excluded)]


def comparable(settings: dict[str, Any], catalogue: Catalogue, keep: bool) -> None:
    """Raises InputError if the runs in `out` had other settings or recordings. `keep`: write these to curve.json if new."""
    shared = {k: v for k, v in settings.items() if k not in IGNORED_KEYS}
    shared["data"] = {k: v for k, v in settings["data"].items() if k not in IGNORED_DATA_KEYS}
    seconds: dict[str, dict[str, float]] = {side: {} for side in ("train", "held_out")}
    for side, clips in (("train", catalogue.train), ("held_out", catalogue.held_out)):
        for clip in clips:
            seconds[side][clip.source] = seconds[side].get(clip.source, 0) + round(len(clip) / catalogue.sample_rate, 3)
    record = json.loads(json.dumps({**shared, "recordings": seconds}))
    path = Path(settings["out"]) / "curve.json"
    if path.exists():
        before = json.loads(path.read_text())
        for key, old, new in differences(before, record):
            raise InputError(f"{settings['out']} holds runs that cannot be compared with these: {key} was {old}, is now "
                             f"{new}; say another name=, or as it was")
    elif keep:
        write_json(path, record, indent=2)


def takes(module: RAVETraining, todo: list[Run], device: torch.device) -> str:
    """Estimates how long the unfinished runs will train, from a few timed steps of both phases."""
    data = module.config["data"]
    phases = probe(module, window=data["window"], batch_size=data["batch_size"], device=device)
    seconds = [sum(n * phase.seconds for n, phase in zip(run.remaining(), phases, strict=True)) for run in todo]
    step_time = " or ".join(f"{p.seconds:.3f} s" for p, steps in zip(phases, todo[0].steps, strict=True) if steps)
    return (f"a step takes {step_time}: training takes about {duration(sum(seconds))}, start and end of each run "
            "some seconds more")


def train_and_judge(runs: list[Run], train: Callable[[Run], object], catalogue: Catalogue, module: RAVETraining,
                    device: torch.device) -> None:
    """Trains and judges one run after another. Raises KeyboardInterrupt if a run is stopped; its state is saved."""
    start, done, steps = time.monotonic(), 0, [sum(run.remaining()) for run in runs]
    for number, run in enumerate(runs, 1):
        description = f"fraction {run.fraction:g}" if run.without is None else f"without {run.without}"
        print(f"\n{number} of {len(runs)}: {description}, seed {run.seed}", flush=True)
        if any(run.remaining()):
            try:
                train(run)
            except (InputError, TrainingError) as error:
                raise type(error)(f"{run.folder}: {error}") from error
        if any(run.remaining()):
            print("the same command goes on from here")
            raise KeyboardInterrupt
        distance = judge(run, catalogue, module, device)
        done += steps[number - 1]
        to_go = (time.monotonic() - start) / max(1, done) * (sum(steps) - done)
        print(f"held-out distance {distance:.3f}" + (f"; about {duration(to_go)} to go" if to_go else ""), flush=True)


def judge(run: Run, catalogue: Catalogue, module: RAVETraining, device: torch.device) -> float:
    """Computes the held-out distance of the run's averaged weights, as validation does; writes it, with that of training."""
    checkpoint = read_checkpoint(run.last)
    model, metric = RAVE.from_checkpoint(checkpoint).to(device), module.distance.to(device)

    @torch.no_grad()
    def distance(clips: list[Clip], max_pieces: int | None = None) -> float:
        rate = catalogue.sample_rate
        cut = bounded(judged(clips, rate), rate) if max_pieces is None else pieces(clips, rate)
        chosen = cut if max_pieces is None else audible(search_and_cut(cut[:: -(-len(cut) // max_pieces)], rate), rate)
        sounds = (torch.from_numpy(clip.sound()).to(device).view(1, model.channels, -1) for clip in chosen)
        distances = [reconstruction_distance(metric, model, x) for x in sounds]
        return float(torch.stack(distances).mean())

    report = {"step": checkpoint.step, "held_out": distance(catalogue.held_out), "train": distance(run.clips, PIECES)}
    write_json(run.distances, report)
    return report["held_out"]
