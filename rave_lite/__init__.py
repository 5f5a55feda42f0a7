"""rave_lite trains neural instruments: minutes of one sound in, a model that plays live out."""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from rave_lite.errors import InputError

if TYPE_CHECKING:
    from rave_lite.cli.python import augmentation, run
    from rave_lite.data import audio
    from rave_lite.evaluation import latents, pictures
    from rave_lite.evaluation.reconstruct import reconstruct
    from rave_lite.layers import reset, set_noise, stream
    from rave_lite.model import RAVE
    from rave_lite.pages.players import AudioPlayers

__version__ = "0.1.0"
__all__ = ["RAVE", "AudioPlayers", "InputError", "audio", "augmentation", "latents", "pictures", "reconstruct", "reset",
           "run", "set_noise", "stream"]
LAZY_MODULES = {"RAVE": "model", "reset": "layers", "set_noise": "layers", "stream": "layers", "audio": "data",
                "latents": "evaluation", "pictures": "evaluation", "reconstruct": "evaluation.reconstruct",
                "augmentation": "cli.python", "run": "cli.python", "AudioPlayers": "pages.players"}


def __getattr__(name: str) -> Any:
    """Imports a part on first access: the list of jobs needs not even torch, and code that plays a model not the rest."""
    if name not in LAZY_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.filterwarnings("ignore", "IProgress not found")  # from tqdm without ipywidgets; unused here
    module = importlib.import_module(f"{__name__}.{LAZY_MODULES[name]}")
    return getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{module.__name__}.{name}")
