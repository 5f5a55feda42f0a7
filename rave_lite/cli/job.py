"""The command of a job: its configuration folder, checks of its settings, exit codes and messages of its errors."""

import importlib
import keyword
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from rave_lite.cli import sweep
from rave_lite.cli.checks import check
from rave_lite.errors import InputError, TrainingError
from rave_lite.notes import note_once

PACKAGE = Path(__file__).parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"  # in a wheel, in a checkout


def missing_value_message(error: MissingMandatoryValue, job: str) -> str:
    """The message about a setting that has no default."""
    return f"{error.full_key!s}: needs a value, as in {error.full_key}=...; see rave-lite {job.replace('_', '-')} --help"


def mistyped(config: DictConfig, job: str) -> str | None:
    """Which of the settings given is text although its default is a number, or no list although that is one; or None."""
    if not HydraConfig.initialized():
        return None
    keys = list(dict.fromkeys(override.lstrip("+~").partition("=")[0] for override in HydraConfig.get().overrides.task))
    groups = [override for override in HydraConfig.get().overrides.task if override.lstrip("+~").partition("=")[0] in
              HydraConfig.get().runtime.choices]
    defaults = hydra.compose(job, groups)
    for key in keys:
        value, default = (OmegaConf.select(settings, key) for settings in (config, defaults))
        is_list = OmegaConf.is_list(default)
        numbers = [x for x in (default if is_list else [default]) if isinstance(x, int | float) and not isinstance(x, bool)]
        texts = [x for x in (value if OmegaConf.is_list(value) else [value]) if isinstance(x, str)]
        if (numbers and texts) or (is_list and isinstance(value, int | float)):
            return f"{key}: {value!r} is no {'list of numbers' if is_list else 'number'}, as {default} is"
    return None


def start(name: str, config: DictConfig) -> Any:
    """Checks the input of a job, imports it and runs it. Returns the job's result."""
    note_once.cache_clear()
    check(name, config)
    module = importlib.import_module(f"rave_lite.jobs.{name}")  # only now: torch takes seconds to import
    if config.get("threads"):
        import torch

        torch.set_num_threads(config.threads)
    return getattr(module, f"{name}_" if keyword.iskeyword(name) else name)(config)


def job(name: str) -> Callable[[], None]:
    """The command of a job. Wrong input prints one message and exits with code 2.

    What the job's function returns goes to the sweeper in a sweep.
    """
    started = False

    def run(config: DictConfig) -> Any:
        nonlocal started
        started = True
        try:
            sweep.set_job_folder(config)
            return start(name, config)
        except KeyboardInterrupt:
            sweep.remove_unused_job_folder()
            raise
        except MissingMandatoryValue as error:
            sweep.end(missing_value_message(error, name))
        except (InputError, OmegaConfBaseException) as error:
            sweep.end(str(error))
        except TrainingError as error:
            sweep.end(str(error), 1)
        except Exception as error:
            if isinstance(error, InstantiationException) and isinstance(error.__cause__, InputError):
                sweep.end(str(error.__cause__))
            if wrong := mistyped(config, name):
                sweep.end(wrong)
            if not sweep.sweeping():
                sweep.remove_unused_job_folder()
                raise
            traceback.print_exc()  # printed here, into the job's own log: the traceback does not come back from a cluster
            sweep.end(f"{type(error).__name__}: {error}", 1)

    run.__module__ = f"rave_lite.jobs.{name}"  # by which Hydra names the job
    entry = hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(run)

    def main() -> None:
        nonlocal started
        started = False
        try:
            entry()
        except KeyboardInterrupt:
            sweep.fail("stopped", 130)
        except SystemExit as stop:  # Hydra exits with 1 on any error; before the job has started, wrong input is the cause
            raised = stop.__context__
            if isinstance(raised, sweep.JobError):
                sys.exit(raised.code)
            cause = getattr(raised, "__cause__", None)
            if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.parent_node is not None:
                print(f"There are: {', '.join(map(str, cause.parent_node))}", file=sys.stderr)
            cluster_error = type(raised).__module__.startswith("submitit")  # the cluster lost a job
            sys.exit(2 if stop.code == 1 and not (started or cluster_error) else stop.code)

    return main
