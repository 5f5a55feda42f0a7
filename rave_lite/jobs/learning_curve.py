"""Does more data help, and which recording hurts? Trains on parts of the data; the held-out clips stay the same."""

import copy
import csv
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig
from rich import print as show
from rich.markup import escape
from rich.table import Table

from rave_lite.data import Catalogue, Clip, audible, judged, pieces, search_and_cut
from rave_lite.errors import InputError, TrainingError
from rave_lite.evaluation import pictures
from rave_lite.evaluation.learning_curve import Influence, Point, advice, answer, gain, influences
from rave_lite.files import replacing
from rave_lite.jobs.common import check_numbers, job
from rave_lite.jobs.curve_runs import Run, commands, comparable, planned
from rave_lite.jobs.train import build_or_transfer, limit_memory, load_catalogue, quieten, train
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.training.bench import duration, probe
from rave_lite.training.losses import reconstruction_distance
from rave_lite.training.module import RAVETraining, check_window

PIECES = 12  # how many pieces of training clips, of at most 10 s each, are judged at most


def learning_curve(config: DictConfig) -> None:
    """Plans the runs and prints the plan, trains the unfinished ones, and reports."""
    check(config)
    quieten()
    L.seed_everything(config.seed, verbose=False)
    module = build_or_transfer(copy.deepcopy(config), list(HydraConfig.get().overrides.task))
    warning = check_window(module.model, module.distance, module.bands_distance, config.data.window)
    catalogue = load_catalogue(config, module.config, module.model.sample_rate)
    plan = planned(config, catalogue)
    comparable(config, module.config, catalogue, keep=not config.plan_only)
    todo = [run for run in plan.runs if any(run.remaining())]
    print(plan.summary(catalogue, len(todo)))
    if warning and todo:
        show(f"[yellow]warning:[/] {warning}")
    trainer = L.Trainer(accelerator=config.trainer.accelerator, devices=1, logger=False, enable_checkpointing=False)
    device = trainer.strategy.root_device
    if todo:
        limit_memory(config.memory_limit)
        print(f"{takes(module, todo, config, device)}; Ctrl-C stops, and the same command goes on", flush=True)
    if config.plan_only:
        return
    if todo and not HydraConfig.get().launcher._target_.endswith("BasicLauncher"):
        launch(config, todo)
    go(config, [run for run in plan.runs if not run.distances.exists()], catalogue, module, device)
    report(Path(config.out), *([run.point(catalogue.sample_rate) for run in runs]
                               for runs in (plan.curve, plan.whole, plan.without)))


def check(config: DictConfig) -> None:
    """Raises InputError for settings from which no curve can be drawn."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise InputError("learning-curve: one process, not under torchrun; for many at a time say hydra/launcher=slurm")
    for key, kinds, example in (("fractions", int | float, "[0.25,0.5,1]"), ("seeds", int, "[0,1,2]")):
        values: Any = config[key]
        valid = isinstance(values, ListConfig) and all(isinstance(v, kinds) and not isinstance(v, bool) for v in values)
        if not valid or not values or len(set(values)) < len(values) or min(values) < 0:
            raise InputError(f"{key}: {values!s} is no list of different numbers; say {key}={example}")
    if len(config.fractions) < 2 and not config.influence:
        raise InputError(f"fractions: {config.fractions!s}: a curve needs two at least; say fractions=[0.5,1]")
    if config.data.fraction != 1:
        raise InputError(f"data.fraction: {config.data.fraction}: a curve has fractions=[0.25,0.5,1]")
    if {config.phase1.until, config.phase2.until} != {"steps"}:
        raise InputError("phase1.until, phase2.until: runs are compared after the same number of steps; leave them at steps")
    if config.influence_steps is not None:
        check_numbers(config, influence_steps=1)
    if config.phase1.steps + config.phase2.steps < 1:
        raise InputError("phase1.steps, phase2.steps: no step to train")


def takes(module: RAVETraining, todo: list[Run], config: DictConfig, device: torch.device) -> str:
    """Estimates how long the unfinished runs will train, from a few timed steps of both phases."""
    phases = probe(module, window=config.data.window, batch_size=config.data.batch_size, device=device)
    seconds = [sum(n * phase.seconds for n, phase in zip(run.remaining(), phases, strict=True)) for run in todo]
    step_time = " or ".join(f"{p.seconds:.3f} s" for p, steps in zip(phases, todo[0].steps, strict=True) if steps)
    return (f"a step takes {step_time}: training takes about {duration(sum(seconds))}, start and end of each run "
            "some seconds more")


def launch(config: DictConfig, todo: list[Run]) -> None:
    """Trains the runs through Hydra's launcher. Raises TrainingError if one fails."""
    codes = [subprocess.run(command, check=False).returncode for command in commands(config, todo)]
    if any(codes):
        raise TrainingError("not all runs have ended well: see above; the same command goes on with them")


def go(config: DictConfig, runs: list[Run], catalogue: Catalogue, module: RAVETraining, device: torch.device) -> None:
    """Trains and judges one run after another. Raises KeyboardInterrupt if a run is stopped; its state is saved."""
    start, done, steps = time.monotonic(), 0, [sum(run.remaining()) for run in runs]
    for number, run in enumerate(runs, 1):
        description = f"fraction {run.fraction:g}" if run.without is None else f"without {run.without}"
        print(f"\n{number} of {len(runs)}: {description}, seed {run.seed}", flush=True)
        if any(run.remaining()):
            try:
                train(run.config(config), brief=True)
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
        cut = judged(clips, rate) if max_pieces is None else pieces(clips, rate)
        chosen = cut if max_pieces is None else audible(search_and_cut(cut[:: -(-len(cut) // max_pieces)], rate), rate)
        distances = [reconstruction_distance(metric, model, torch.from_numpy(clip.read()).to(device)[None, None])
                     for clip in chosen]
        return float(torch.stack(distances).mean())

    report = {"step": checkpoint.step, "held_out": distance(catalogue.held_out), "train": distance(run.clips, PIECES)}
    with replacing(run.distances) as aside:
        aside.write_text(json.dumps(report) + "\n")
    return report["held_out"]


def report(out: Path, curve: list[Point], whole: list[Point], without: list[Point]) -> None:
    """Writes tables and picture to `out`; prints tables and answers."""
    columns = ["fraction", "minutes", "seed", "held_out_distance", "train_distance"]
    write(out / "curve.csv", columns, [[f"{p.fraction:g}", f"{p.minutes:.4f}", p.seed, f"{p.held_out:.5f}", f"{p.train:.5f}"]
                                       for p in curve])
    print()
    if len({p.fraction for p in curve}) > 1:
        result = gain(curve)
        pictures.save(pictures.learning_curve(curve, str(result)), out / "curve.png")
        print(f"{answer(result)}\n")
    if without:
        rows = influences(whole, without)
        seeds = sorted(p.seed for p in whole)
        columns = ["file", "change", "against_others", "plus_minus", "stands_out", *(f"seed_{s}" for s in seeds)]
        write(out / "influence.csv", columns, [
            [r.source, *(f"{v:.5f}" for v in (r.change, r.against, r.spread)), "yes" if r.stands_out else "no",
             *(f"{v:.5f}" for v in r.changes)] for r in rows])
        show(table(rows))
        print(f"{advice(rows)}\n")
    written = [name for name in ("curve.csv", "curve.png", "influence.csv") if (out / name).exists()]
    print(f"{', '.join(written)} and a folder for each run are in {out}")


def table(rows: Sequence[Influence], shown: int = 20) -> Table:
    """The influence of the files that hurt most and help most, `shown` rows in all."""
    ranking = Table(title="held-out distance when a file is left out, against all files", title_justify="left")
    for column in ("without", "change", "its seeds", "against others", ""):
        ranking.add_column(column, justify="left" if column in ("without", "") else "right", overflow="fold")
    for i, r in enumerate(rows):
        if len(rows) <= shown or i < shown // 2 or i >= len(rows) - shown // 2:
            ranking.add_row(escape(r.source), f"{r.change:+.3f}", f"{min(r.changes):+.3f} to {max(r.changes):+.3f}",
                            f"{r.against:+.3f} ± {r.spread:.3f}", "stands out" if r.stands_out else "")
        elif i == shown // 2:
            ranking.add_row(f"... {len(rows) - shown} more ...", "", "", "", "")
    return ranking


def write(path: Path, columns: list[str], rows: Sequence[Sequence[Any]]) -> None:
    """Writes a CSV file."""
    with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


main = job(learning_curve)
