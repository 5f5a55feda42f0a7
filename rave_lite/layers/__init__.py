"""Stateful leaves and blocks of the network: they know torch only, and script."""

from rave_lite.layers.conv import Conv1d, ConvTranspose1d, leaky_relu
from rave_lite.layers.noise import Noise, NoiseSynth, set_noise
from rave_lite.layers.past import CachedPast, Past, fold_weight_norm, reset, stream
from rave_lite.layers.pqmf import PQMF
from rave_lite.layers.residual import ResidualUnit

__all__ = ["PQMF", "CachedPast", "Conv1d", "ConvTranspose1d", "Noise", "NoiseSynth", "Past", "ResidualUnit",
           "fold_weight_norm", "leaky_relu", "reset", "set_noise", "stream"]
