"""Layers and blocks of the network: they depend on torch only, and can be scripted."""

from rave_lite.layers.activation import SLOPES, Snake, make_activation
from rave_lite.layers.adaptive_norm import AdaptiveNorm, StreamingNorm
from rave_lite.layers.conv import ALIGNMENTS, Conv1d, ConvTranspose1d, MatrixConv, fold_weight_norm, weight_norm
from rave_lite.layers.level_follower import LevelFollower
from rave_lite.layers.noise import Noise, NoiseSynth, SeededNoise, seed_noise, set_noise
from rave_lite.layers.padding import CausalPad, StreamingPad, reset, stream
from rave_lite.layers.pqmf import PQMF
from rave_lite.layers.residual import Dilation, ResidualStack, ResidualUnit

__all__ = ["ALIGNMENTS", "PQMF", "SLOPES", "AdaptiveNorm", "CausalPad", "Conv1d", "ConvTranspose1d", "Dilation",
           "LevelFollower", "MatrixConv", "Noise", "NoiseSynth", "ResidualStack", "ResidualUnit", "SeededNoise", "Snake",
           "StreamingNorm", "StreamingPad", "fold_weight_norm", "make_activation", "reset", "seed_noise", "set_noise",
           "stream", "weight_norm"]
