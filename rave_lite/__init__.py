"""rave_lite trains neural instruments: minutes of one sound in, a model that plays live out."""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from rave_lite.errors import InputError
from rave_lite.layers import reset, set_noise, stream
from rave_lite.model import RAVE

if TYPE_CHECKING:
    from rave_lite.data import audio
    from rave_lite.evaluation import latents, pictures
    from rave_lite.evaluation.reconstruct import reconstruct
    from rave_lite.jobs.python import augmentation, run
    from rave_lite.pages.players import AudioPlayers

__version__ = "0.1.0"
__all__ = [
    "RAVE",
    "AudioPlayers",
    "InputError",
    "audio",
    "augmentation",
    "latents",
    "pictures",
    "reconstruct",
    "reset",
    "run",
    "set_noise",
    "stream",
]
HOMES = {"audio": "data", "latents": "evaluation", "pictures": "evaluation", "reconstruct": "evaluation.reconstruct",
         "augmentation": "jobs.python", "run": "jobs.python", "AudioPlayers": "pages.players"}


def __getattr__(name: str) -> Any:
    """What takes long to import, when it is asked for: players of models need none of it."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.filterwarnings("ignore", "IProgress not found")  # tqdm in a notebook without ipywidgets: we show no bar of its
    home = importlib.import_module(f"{__name__}.{HOMES[name]}")
    return getattr(home, name) if hasattr(home, name) else importlib.import_module(f"{home.__name__}.{name}")
