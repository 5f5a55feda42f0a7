"""Imports models trained with the public release, acids-rave 2.x."""

from rave_lite.acids_rave.convert import convert
from rave_lite.acids_rave.read import Run, read

__all__ = ["Run", "convert", "read"]
