"""Random changes of training windows, so that minutes of recordings go further; held-out audio is never changed."""

from rave_lite.data.augmentation.chain import Augmentation
from rave_lite.data.augmentation.effects import AllPass, Compression, Dequantise, Mute, Room, Speed, Swap
from rave_lite.data.augmentation.rhythm import Resequence

__all__ = ["AllPass", "Augmentation", "Compression", "Dequantise", "Mute", "Resequence", "Room", "Speed", "Swap"]
