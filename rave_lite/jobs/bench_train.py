"""Measures training steps of both phases."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig
from rich import print as show

from rave_lite.cli.build import build
from rave_lite.files import write_json
from rave_lite.training.bench import measure, name, table
from rave_lite.training.process import limit_memory, prepare
from rave_lite.training.window import check_window


def bench_train(config: DictConfig) -> dict[str, Any]:
    """Measures the configuration that train would run, on noise; prints a table, writes JSON, and returns the figures."""
    prepare(config.seed)
    module = build(config)
    check_window(module.model, module.distance, module.bands_distance, config.data.window)
    trainer = L.Trainer(accelerator=config.trainer.accelerator, devices=1, logger=False, enable_checkpointing=False)
    limit_memory(config.memory_limit, trainer.strategy.root_device)
    phases = measure(module, window=config.data.window, batch_size=config.data.batch_size, steps=config.steps,
                     warm_up=config.warm_up, device=trainer.strategy.root_device)
    show(table(phases))
    report = {"device": name(module.device), "precision": "bf16-mixed" if module.run.mixed(module.device) else "32-true",
              "micro_batch": module.run.micro_batch, "threads": torch.get_num_threads(), "torch": torch.__version__,
              "window": config.data.window, "batch_size": config.data.batch_size, "phases": [asdict(p) for p in phases]}
    if config.out:
        write_json(Path(config.out).expanduser(), report, indent=2)
        print(f"figures in {config.out}")
    return report
