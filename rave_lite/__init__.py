"""rave_lite trains neural instruments: minutes of one sound in, a model that plays live out."""

from rave_lite.errors import InputError
from rave_lite.layers import reset, set_noise, stream
from rave_lite.model import RAVE

__version__ = "0.1.0"
__all__ = ["RAVE", "InputError", "reset", "set_noise", "stream"]
