"""Reading what the public release, acids-rave 2.x, has trained."""

from rave_lite.release.convert import convert
from rave_lite.release.read import Run, read

__all__ = ["Run", "convert", "read"]
