"""The built-in set: synthetic Malay drums and bird calls, so that everything can be tried without a recording."""

from rave_lite.data.drums.kit import write

__all__ = ["write"]
