"""The built-in data set: synthetic Malay drums and bird calls, to try everything without a recording."""

from rave_lite.data.drums.kit import rhythms, write

__all__ = ["rhythms", "write"]
