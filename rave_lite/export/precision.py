"""Converts encoder and decoder of a streaming model to fewer bits."""

import copy
import warnings

import torch

from rave_lite.errors import InputError
from rave_lite.layers import MatrixConv, ResidualUnit
from rave_lite.model import RAVE

INT8_MIN_SIZE = 40  # weights of a layer that becomes int8, in units of capacity squared; small layers decide the sound
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "int8": torch.float32}


def lower_precision(rave: RAVE, precision: str) -> torch.dtype:
    """Convert `rave`'s encoder and decoder in place; returns the dtype of their activations.

    "int8": the heavy products get int8 weights, one scale per output, and int8 activations scaled block by block; needs
    a CPU. Raises InputError for an unknown name, or when torch has no engine for int8 products here.
    """
    if precision not in PRECISIONS:
        raise InputError(f"{precision!r} is none of {', '.join(PRECISIONS)}", where="precision")
    if precision == "int8":
        quantize(rave)
    norms = [(unit, copy.deepcopy(unit.norm)) for unit in rave.modules() if isinstance(unit, ResidualUnit)]
    for part in (rave.encoder, rave.decoder):
        part.to(PRECISIONS[precision])
    for unit, norm in norms:  # statistics stay as they are
        unit.norm = norm
    return PRECISIONS[precision]


def engine() -> str:
    """Name of the engine for int8 products in this build of torch, or "none"."""
    return torch.backends.quantized.engine or "none"


def quantize(rave: RAVE) -> None:
    if engine() == "none":
        raise InputError("precision=int8: this build of torch has no engine for int8 products (fbgemm, onednn, x86 or "
                         "qnnpack): export with precision=float32, or on another machine")
    from torch.ao.nn.quantized.dynamic import Linear
    from torch.ao.quantization import per_channel_dynamic_qconfig

    capacity = rave.config["capacity"]
    for part in rave.modules():
        if isinstance(part, MatrixConv) and part.product.weight.numel() >= INT8_MIN_SIZE * capacity**2:
            part.product.qconfig = per_channel_dynamic_qconfig  # type: ignore[assignment]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                part.product = Linear.from_float(part.product)


def proposed_precision() -> str:
    """What plays fastest on this machine's GPU: float16 where it has tensor cores (compute capability 7.0), else float32."""
    return "float16" if torch.cuda.is_available() and torch.cuda.get_device_capability() >= (7, 0) else "float32"
