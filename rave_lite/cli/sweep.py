"""Sweeps (--multirun), on one machine or a cluster: each job has its folder, and a failed job does not end the others."""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException, HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from rave_lite.errors import InputError
from rave_lite.files import exclusive, folder_name
from rave_lite.runs import file_to_resume

PROBE = 1 << 16  # bytes that must fit into a new folder


class JobError(CompactHydraException):
    """How a job of a sweep failed: message and exit code. Hydra lets the others run, and raises the first at the end."""

    def __init__(self, message: str, code: int):
        super().__init__(message, code)
        self.message, self.code = message, code

    def __str__(self) -> str:
        return self.message


def fail(message: str, code: int = 2) -> NoReturn:
    print(f"rave-lite: {message}", file=sys.stderr)
    sys.exit(code)


def end(message: str, code: int = 2) -> NoReturn:
    """Ends this job with a message; in a sweep, the other jobs go on. Of a job that wrote nothing no folder stays."""
    remove_unused_job_folder()
    if not sweeping():
        fail(message, code)
    message = f"{sweep_folder(HydraConfig.get())}: {message}"
    print(f"rave-lite: {message}", file=sys.stderr, flush=True)
    raise JobError(message, code) from None


def sweeping() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def set_job_folder(config: DictConfig) -> None:
    """Gives a job of a sweep its own folder inside `out`."""
    if sweeping() and config.get("out") == HydraConfig.get().sweep.dir:
        config.out = str(sweep_folder(HydraConfig.get()))
        print(f"\n{config.out}", flush=True)


def sweep_folder(settings: Any) -> Path:
    """The folder of one job, from its Hydra settings."""
    return Path(settings.sweep.dir, settings.sweep.subdir)


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


def check_folder(folder: Path) -> None:
    """Makes a folder and ends the command with one line if it cannot be written; Hydra would show a traceback."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))
    except OSError as error:
        remove_unused(folder)
        fail(f"{folder}: could not be written ({error.strerror}); say another folder, as in out=DIR")


def check_free(folder: Path, resume: str | None) -> None:
    """Raises InputError where a run is in the folder already and is not to go on, or trains there now."""
    file_to_resume(resume, folder)
    if (folder / ".lock").exists():
        with exclusive(folder):
            pass


def remove_unused(folder: Path) -> None:
    """Deletes a run's folder where Hydra's notes are all that it holds, and `runs` above it if it is empty then."""
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {".hydra"} and folder.resolve() != Path.cwd():
            shutil.rmtree(folder)
            (Path.cwd() / "runs").rmdir()  # fails, as it should, where anything is in it


def remove_unused_job_folder() -> None:
    if HydraConfig.initialized() and HydraConfig.get().output_subdir:
        remove_unused(Path(HydraConfig.get().runtime.output_dir))


class Sweep(Callback):
    """Before the jobs of a sweep start: names their folders by the swept settings only, and refuses shared folders.

    Before a run of its own: makes its folder, and refuses one of which another run has the notes in .hydra.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.run.dir)
        if config.hydra.output_subdir and os.environ.get("LOCAL_RANK", "0") == "0":
            try:
                check_free(folder, config.get("resume"))
            except InputError as error:
                fail(str(error))
        check_folder(folder)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        launcher = config.hydra.launcher._target_
        if launcher.startswith("hydra_plugins.hydra_submitit"):
            if importlib.util.find_spec("submitit") is None:
                fail("SLURM jobs need another package: pip install 'rave_lite[slurm]'")
            if launcher.endswith("SlurmLauncher") and not (shutil.which("sbatch") and shutil.which("srun")):
                fail("sbatch, srun: no such commands here; give SLURM jobs on a machine of its cluster")
        try:
            folders = self._folders(config)
        except (HydraException, OmegaConfBaseException):
            return  # Hydra will meet this error again and report it
        duplicates = [folder for folder, count in Counter(str(folder).casefold() for folder in folders).items() if count > 1]
        if duplicates:
            fail(f"two jobs of this sweep would write into one folder: {duplicates[0]}\n"
                 "Say each value once, and leave hydra.sweep.subdir alone: each job gets a folder of its own in out=.")
        check_folder(Path(config.hydra.sweep.dir))
        print("each job's folder:", *folders, sep="\n  ", flush=True)
        if launcher.endswith("SlurmLauncher"):
            print("waiting for SLURM; Ctrl-C ends the waiting, not the jobs", flush=True)

    def _folders(self, config: DictConfig) -> list[Path]:
        """The folder of each job, composed as the launcher will."""
        loader = GlobalHydra.instance().config_loader()
        params = [f"{k}={v}" for k, v in (config.hydra.sweeper.get("params") or {}).items()]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides([*params, *config.hydra.overrides.task])
        swept = {override.key_or_group for override in overrides if override.is_sweep_override()}
        constant_keys = ",".join(f"'{key}'" for key in sorted({override.key_or_group for override in overrides} - swept))
        config.hydra.overrides.hydra.append(f"hydra.job.config.override_dirname.exclude_keys=[{constant_keys}]")
        folders = []
        for number, job in enumerate(product(*{o.get_key_element(): job_overrides(o) for o in overrides}.values())):
            composed = loader.load_sweep_config(config, list(job))
            with open_dict(composed):
                composed.hydra.job.id = composed.hydra.job.num = number
            folders.append(sweep_folder(composed.hydra))
        return folders


def job_overrides(override: Override) -> list[str]:
    """The overrides of single jobs that one of a sweep stands for, as Hydra's basic sweeper expands it."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    return [f"{key}={value}" for value in override.sweep_string_iterator()]
