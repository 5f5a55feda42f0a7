"""Measures how long exported files take per block."""

import tempfile
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console

from rave_lite.errors import InputError
from rave_lite.export.torchscript import Live, export
from rave_lite.files import write_json
from rave_lite.jobs.common import job
from rave_lite.live.bench import as_dict, table
from rave_lite.live.bench import bench as measure
from rave_lite.live.player import Player
from rave_lite.model import RAVE


def bench(config: DictConfig) -> None:
    """Prints a table, and writes JSON, for several .ts files, or for checkpoints exported with default settings."""
    names = [config.files] if isinstance(config.files, str) else list(config.files)
    if not names:
        raise InputError("files: name at least one .ts or .ckpt")
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for i, name in enumerate(names):
            path = Path(name).expanduser()
            if path.suffix == ".ckpt":
                path = Path(folder) / f"{i}.ts"
                export(Live(RAVE.from_checkpoint(Path(name).expanduser()), batch_size=1), path, {})
            files[name] = path
        hops = [Player(path).hop for path in files.values()]
        blocks = list(config.blocks) if config.blocks else [max(hops)]
        wrong = [(block, hop) for block in blocks for hop in hops if block <= 0 or block % hop]
        if wrong:
            raise InputError(f"blocks: {wrong[0][0]} is no multiple of hop {wrong[0][1]}, as one of the files needs")
        rows = measure(files, device=config.device, blocks=blocks, count=config.count, seconds=config.seconds)
    Console(width=None if Console().is_terminal else 200).print(table(rows))
    if config.out:
        out = Path(config.out).expanduser()
        report = {"device": torch.cuda.get_device_name() if config.device == "cuda" else "cpu", "threads": config.threads,
                  "torch": torch.__version__, "rows": as_dict(rows)}
        write_json(out, report, indent=2)
        print(f"figures in {out}")


main = job(bench)
