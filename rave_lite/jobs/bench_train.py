"""Measure training steps of both phases."""

import json
from dataclasses import asdict
from pathlib import Path

import lightning as L
import torch
from omegaconf import DictConfig
from rich import print as show

from rave_lite.files import replacing
from rave_lite.jobs.common import job
from rave_lite.jobs.train import build, quieten
from rave_lite.training.bench import bench, table
from rave_lite.training.module import check_window


def bench_train(config: DictConfig) -> None:
    """Table and JSON for the configuration that train would run, on noise."""
    quieten()
    L.seed_everything(config.seed, verbose=False)
    module = build(config)
    check_window(module.model, module.distance, module.bands_distance, config.data.window)
    phases = bench(module, window=config.data.window, batch_size=config.data.batch_size, steps=config.steps,
                   warm_up=config.warm_up, trainer=module.config["trainer"])
    show(table(phases))
    if config.out:
        report = {"device": str(module.device), "threads": torch.get_num_threads(), "torch": torch.__version__,
                  "window": config.data.window, "batch_size": config.data.batch_size, "phases": [asdict(p) for p in phases]}
        with replacing(Path(config.out).expanduser()) as aside:
            aside.write_text(json.dumps(report, indent=2) + "\n")
        print(f"figures in {config.out}")


main = job(bench_train)
