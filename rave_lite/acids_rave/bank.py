"""The release's filter bank as ours: the same filters without their zeros, and its odd bands turned round.

Found by impulses. With N bands, filters f of L taps and c = L / 2: band sample n of its analysis is the sum over i of
`f[L - 1 - i] * x[N * n + c - 1 - i]`, or `c` samples later in its causal models; its synthesis adds `N * f[i] * band[n]` to
sample `N * (n + 1) + i - c`; odd bands are negated at even n on both sides. So the middle of the filters, causal, is late
by the same whole number of band samples on both sides, and the whole bank by its taps less N.
"""

import torch
from torch import Tensor, nn

from rave_lite.layers import Conv1d
from rave_lite.layers.conv import lookahead
from rave_lite.model import RAVE


def taps(filters: Tensor) -> int:
    """How many in the middle of `(n_bands, L)` are not zero, up to a multiple of `2 * n_bands`."""
    n_bands, length = filters.shape
    heard = filters.abs().amax(0).nonzero().flatten()
    half = max(length // 2 - int(heard[0]), int(heard[-1]) + 1 - length // 2 + 1)
    return min(-(-half // n_bands) * 2 * n_bands, length)


def skew(filters: Tensor, encoder: nn.Module, alignment: str, *, live: bool) -> int:
    """By how many band samples our bands are later, in the frames of the encoder, than the release's.

    Its streaming export (`live`) lets each window end at its frame's first sample, whatever the delay at that layer is: the
    frames of its centered models then lie elsewhere in the sound than those of the run, which is another function.
    """
    n_bands, length = filters.shape
    phase = length // (2 * n_bands) if live or alignment == "release-causal" else 0
    frame = 1
    for conv in (m for m in encoder.modules() if isinstance(m, Conv1d)):
        span, stride = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1, conv.stride[0]
        phase += frame * (lookahead(alignment, span, stride) + stride - 1) if live else 0
        frame *= stride
    return late(taps(filters), n_bands) - phase % frame


def late(size: int, n_bands: int) -> int:
    """Band samples by which either side of a bank of `size` taps trails the release's centred one."""
    return size // (2 * n_bands) - 1


def later(model: RAVE, filters: Tensor) -> int:
    """Samples by which `model` trails the release's run of the same weights; below zero it is earlier."""
    n_bands, length = filters.shape
    own = n_bands * model.decoder.delay + model.pqmf.delay
    return own - n_bands - (length if model.config["alignment"] == "release-causal" else 0)


@torch.no_grad()
def load_bank(model: RAVE, original: RAVE, filters: Tensor, *, live: bool) -> None:
    """Give `model` the release's filters; `original` is the same network in the release's alignment.

    The release's odd bands change their sign by its own clock. Ours runs later, and where the difference is odd the sign
    goes into the filters; its streaming export runs a whole number of frames beside ours.
    """
    n_bands, length = filters.shape
    size = model.pqmf.analysis.shape[1]
    middle = filters[:, (length - size) // 2 : (length + size) // 2]
    wait, odd = late(size, n_bands), torch.ones(n_bands, 1)
    odd[1::2] = -1
    model.pqmf.analysis.copy_(middle.flip(1) * odd ** (1 + wait + waiting(original.encoder) + waiting(model.encoder)))
    model.pqmf.synthesis.copy_(n_bands * middle * odd ** (1 if live else 1 + wait + original.decoder.delay))


def waiting(encoder: nn.Module) -> int:
    """Band samples that the first strided layer pads beyond its span; the later ones pad multiples of two."""
    first = next(m for m in encoder.modules() if isinstance(m, Conv1d) and m.stride[0] > 1)
    return first.past.length - (first.kernel_size[0] - first.stride[0])
