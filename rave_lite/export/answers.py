"""Checks whether an exported file responds to sound, or its model is dead."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rave_lite.evaluation.vital_signs import ADVICE, vital_signs


def answers(live: Any) -> tuple[str, bool]:
    """The vital signs of a loaded file, in words, and whether its model is alive. Its noise is on afterwards."""
    def respond(x: Tensor, noise: bool) -> tuple[Tensor, Tensor]:
        live.set_noise(float(noise))
        x = F.pad(x, (0, live.latency + -(len(x) + live.latency) % live.hop)).expand(1, live.channels, -1).contiguous()
        live.reset()
        with torch.inference_mode():
            y = live(x)[0, 0]
            live.reset()
            return y, live.encode(x)

    try:
        signs = vital_signs(respond, live.sample_rate)
    except RuntimeError as error:  # int8 products fail with values that are not finite
        return f"this model cannot play ({str(error).strip().splitlines()[-1]}); {ADVICE}", False
    live.set_noise(1.0)
    trouble = signs.trouble()
    return (f"this model {trouble}; {ADVICE}", False) if trouble else (str(signs), True)
