"""Runs jobs from Python, for notebooks."""

import copy
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from rave_lite.cli.job import CONF, missing_value_message, start
from rave_lite.cli.overrides import named
from rave_lite.errors import InputError

if TYPE_CHECKING:
    from rave_lite.data.augmentation import Augmentation


def run(job: str, *settings: str) -> Any:
    """`rave-lite JOB SETTINGS`, in this process: `report = run("evaluate", "ckpt=best.ckpt")`. Returns the job's result.

    train: the least held-out distance. evaluate: the report, as in figures.json. learning-curve: `{"curve": points, "gain":
    Gain, "influence": list of Influence}`. export: the file's card, its path as "file". import: the model. gallery: the
    History. curate: the hits. verify: the findings. bench, bench-train: the figures, as in `out=`. drums, reconstruct,
    generate: the paths of the files. prior: its Figures. listen: the path of the page. live: None.

    Raises InputError with the message that the command would end with, TrainingError when a run fails.
    """
    name = job.replace("-", "_")
    if not importlib.util.find_spec(f"rave_lite.jobs.{name}"):
        raise InputError(f"there is no job {job!r}: rave-lite --help lists them")
    try:
        with configured(name, *named(job, list(settings))) as config:
            return start(name, config)
    except MissingMandatoryValue as error:
        raise InputError(missing_value_message(error, job)) from error
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__
        raise cause if isinstance(cause, InputError) else InputError(str(error)) from error


@contextmanager
def configured(job: str, *settings: str) -> Iterator[DictConfig]:
    """Composes a job's configuration as its command does; inside the context HydraConfig holds the settings given."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose(job, list(settings), return_hydra_config=True)
    config, hydra = copy.deepcopy(composed), HydraConfig.instance()
    with read_write(config), open_dict(config):
        del config["hydra"]
    previous, hydra.cfg = hydra.cfg, None
    hydra.set_config(composed)
    try:
        yield config
    finally:
        hydra.cfg = previous


def augmentation(name: str, sample_rate: int = 44100) -> "Augmentation":
    """The transforms of `augmentation=NAME`: a function of samples `(T,)` and any numbers, which draw what is random."""
    from rave_lite.data.augmentation.lookup import build_augmentation

    with configured("train", "data.root=.", f"augmentation={name}") as config:
        settings: Any = OmegaConf.to_container(config.augmentation, resolve=True)
    augment = build_augmentation(settings, sample_rate)
    if augment is None:
        raise InputError(f"{name} has no transforms; say light or strong", where="augmentation")
    return augment
