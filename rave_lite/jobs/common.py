"""What every job shares: where the configuration lies, and how it ends when the input is wrong."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from rave_lite.errors import InputError

PACKAGE = Path(__file__).parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"  # in a wheel, in a checkout


def job(function: Callable[[DictConfig], None]) -> Callable[[], None]:
    """Make `function` the command of its module's name. Wrong input prints one message and exits with code 2."""
    name = function.__module__.rsplit(".", 1)[-1]

    @functools.wraps(function)
    def run(config: DictConfig) -> None:
        run.started = True  # type: ignore[attr-defined]
        try:
            if config.get("threads"):
                torch.set_num_threads(config.threads)
            function(config)
        except MissingMandatoryValue as error:
            command = name.replace("_", "-")
            fail(f"{error.full_key!s}: needs a value, as in {error.full_key}=...; see rave-lite {command} --help")
        except (InputError, OmegaConfBaseException) as error:
            fail(str(error))

    entry = hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(run)

    def main() -> None:
        run.started = False  # type: ignore[attr-defined]
        try:
            entry()
        except SystemExit as stop:  # Hydra ends with 1 when it cannot compose the configuration
            sys.exit(2 if stop.code == 1 and not run.started else stop.code)  # type: ignore[attr-defined]

    return main


def fail(message: str) -> None:
    print(f"rave-lite: {message}", file=sys.stderr)
    sys.exit(2)
