"""Does more data help, and which recording hurts? Trains on parts of the data; the held-out clips stay the same."""

import copy
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig, open_dict
from rich import print as show

from rave_lite.cli.build import build_or_transfer, typed
from rave_lite.cli.launch import has_launcher, launch
from rave_lite.data.settings import load_catalogue
from rave_lite.evaluation.curve_report import report
from rave_lite.jobs.train import train
from rave_lite.training import curve
from rave_lite.training.process import limit_memory, prepare
from rave_lite.training.window import check_window


def learning_curve(config: DictConfig) -> dict[str, Any] | None:
    """Plans the runs and prints the plan, trains the unfinished ones, and reports. Returns the report, None for a plan."""
    prepare(config.seed)
    module = build_or_transfer(copy.deepcopy(config), typed())
    warning = check_window(module.model, module.distance, module.bands_distance, config.data.window)
    catalogue = load_catalogue(config.data.root, module.config["data"], module.model.sample_rate,
                               channels=module.model.channels)
    plan = curve.planned(module.config, catalogue)
    curve.comparable(module.config, catalogue, keep=not config.plan_only)
    todo = [run for run in plan.runs if any(run.remaining())]
    print(plan.summary(catalogue, len(todo)))
    trainer = L.Trainer(accelerator=config.trainer.accelerator, devices=1, logger=False, enable_checkpointing=False)
    device = trainer.strategy.root_device
    if todo:
        if warning:
            show(f"[yellow]warning:[/] {warning}")
        limit_memory(config.memory_limit, device)
        print(f"{curve.takes(module, todo, device)}; Ctrl-C stops, and the same command goes on", flush=True)
    if config.plan_only:
        return None
    if todo and has_launcher():
        launch(module.config, todo)
    train_run = lambda run: train(run_config(config, run.settings(module.config)), brief=True)
    curve.train_and_judge([run for run in plan.runs if not run.distances.exists()], train_run, catalogue, module, device)
    return report(Path(config.out), *([run.point(catalogue.sample_rate) for run in runs]
                                      for runs in (plan.curve, plan.whole, plan.without)))


def run_config(config: DictConfig, settings: dict[str, Any]) -> DictConfig:
    """The configuration of `train` for a run of the curve that has these `settings` of its own."""
    single = copy.deepcopy(config)
    with open_dict(single):
        for key in curve.CURVE_KEYS:
            del single[key]
        single.merge_with(settings)
    return single
