"""Trains the runs of a learning curve through Hydra's launcher, such as SLURM's, by `rave-lite train --multirun`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from rave_lite.cli.overrides import quoted
from rave_lite.errors import TrainingError
from rave_lite.training.curve import CURVE_KEYS, Run, left_out


def has_launcher() -> bool:
    """Whether the user chose a launcher other than Hydra's own, which runs one job after another."""
    return not HydraConfig.get().launcher._target_.endswith("BasicLauncher")


def launch(settings: dict[str, Any], runs: list[Run]) -> None:
    """Trains the runs; `settings`: of the curve. Raises TrainingError if one fails."""
    codes = [subprocess.run(command, check=False).returncode for command in commands(settings, runs)]
    if any(codes):
        raise TrainingError("not all runs have ended well: see above; the same command goes on with them")


def commands(settings: dict[str, Any], runs: list[Run]) -> list[list[str]]:
    """`rave-lite train --multirun` command lines for the unfinished `runs`, with the launcher chosen by the user."""
    overrides = HydraConfig.get().overrides
    own_keys = ("out", "seed", "data.without", "data.subset_seed", "data.split_seed", *CURVE_KEYS)
    typed = [o for o in overrides.task if o.lstrip("+~").partition("=")[0] not in own_keys]
    launcher = [o for o in overrides.hydra if o.lstrip("+~").startswith(("hydra/launcher", "hydra.launcher"))]
    logger = [] if any(o.startswith("logger=") for o in typed) else ["logger=csv"]
    groups: dict[tuple[str, Path], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.folder.name.partition("-")[0], run.folder.parent), []).append(run)
    command_lines = []
    for (kind, parent), group in groups.items():
        fractions = ",".join(dict.fromkeys(f"{run.fraction:g}" for run in group))
        seeds = ",".join(dict.fromkeys(str(run.seed) for run in group))
        names = [",".join(map(quoted, left_out(settings, without))) for without in dict.fromkeys(r.without for r in group)]
        subfolder = {"fraction": "fraction-${data.fraction}+", "seed": "",
                     "without": "${folder_name:without-${data.without.0}}+"}[kind]
        command_lines.append([
            sys.executable, "-m", "rave_lite", "train", "--multirun", *launcher, *logger, *typed, f"out={parent}",
            f"data.fraction={fractions}", f"seed={seeds}", f"data.split_seed={settings['data']['split_seed']}",
            "data.without=" + ",".join(f"[{group_names}]" for group_names in names), "resume=auto",
            f"phase1.steps={group[0].steps[0]}", f"phase2.steps={group[0].steps[1]}",
            "hydra.sweep.subdir=" + quoted(f"{subfolder}seed-${{seed}}")])
    return command_lines
