"""Measures how long exported files take per block."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console

from rave_lite.files import write_json
from rave_lite.live.bench import bench as measure
from rave_lite.live.bench import exported, table


def bench(config: DictConfig) -> dict[str, Any]:
    """Prints a table, and writes JSON, for several .ts files, or for checkpoints exported with default settings.

    Returns the figures as they are written.
    """
    names = [config.files] if isinstance(config.files, str) else list(config.files)
    with exported(names) as files:
        rows = measure(files, device=config.device, blocks=config.blocks and list(config.blocks), count=config.count,
                       seconds=config.seconds)
    Console(width=None if Console().is_terminal else 200).print(table(rows))
    report = {"device": torch.cuda.get_device_name() if config.device == "cuda" else "cpu", "threads": config.threads,
              "torch": torch.__version__, "rows": [asdict(row) for row in rows]}
    if config.out:
        out = Path(config.out).expanduser()
        write_json(out, report, indent=2)
        print(f"figures in {out}")
    return report
