"""The release's filter bank as ours: the same filters without zero taps, and the signs of its odd bands.

Measured with impulses. With N bands, filters f of L taps and c = L / 2: band sample n of its analysis is the sum over i of
`f[L - 1 - i] * x[N * n + c - 1 - i]`, or `c` samples later in its causal models; its synthesis adds `N * f[i] * band[n]` to
sample `N * (n + 1) + i - c`; odd bands are negated at even n on both sides. So the causal middle of the filters
delays by the same whole number of band samples on both sides, and the whole bank by its number of taps minus N samples.
"""

import torch
from torch import Tensor, nn

from rave_lite.layers import Conv1d
from rave_lite.layers.conv import lookahead
from rave_lite.model import RAVE
from rave_lite.model.decoder import LoudnessDecoder
from rave_lite.model.encoder import StridedEncoder


def taps(filters: Tensor) -> int:
    """Length of the nonzero middle of filters `(n_bands, L)`, rounded up to a multiple of `2 * n_bands`."""
    n_bands, length = filters.shape
    nonzero = filters.abs().amax(0).nonzero().flatten()
    half = max(length // 2 - int(nonzero[0]), int(nonzero[-1]) + 1 - length // 2 + 1)
    return min(-(-half // n_bands) * 2 * n_bands, length)


def skew(filters: Tensor, encoder: nn.Module, alignment: str, *, live: bool) -> int:
    """Offset of our bands from the release's, in band samples, modulo one latent frame.

    In v2's streaming export (`live`) each window ends at its frame's first sample, whatever the delay at that layer. So the
    frames of centered models lie elsewhere in the sound than those of the run: the export is another function. v1's waits
    until its delay is a whole number of frames, as ours does.
    """
    n_bands, length = filters.shape
    phase = length // (2 * n_bands) if live or alignment == "release-causal" else 0
    frame, waits = 1, isinstance(encoder, StridedEncoder)
    for conv in (m for m in encoder.modules() if isinstance(m, Conv1d)):
        kernel_span, stride = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1, conv.stride[0]
        phase += frame * (lookahead(alignment, kernel_span, stride) + stride - 1) if live and not waits else 0
        frame *= stride
    return delay_in_bands(taps(filters), n_bands) - phase % frame


def delay_in_bands(size: int, n_bands: int) -> int:
    """Delay of either side of a bank of `size` taps behind the release's centred one, in band samples."""
    return size // (2 * n_bands) - 1


def delay_after_release(model: RAVE, filters: Tensor) -> int:
    """Delay of `model` behind the release's run with the same weights, in samples; negative if it is earlier."""
    n_bands, length = filters.shape
    delay = n_bands * model.decoder.delay + model.pqmf.delay
    return delay - n_bands - (length if model.config["alignment"] == "release-causal" else 0)


@torch.no_grad()
def load_bank(model: RAVE, original: RAVE, filters: Tensor, *, live: bool) -> None:
    """Loads the release's filters into `model`; `original` is the same network in the release's alignment.

    The release negates its odd bands at every second band sample. Our bands are delayed; if by an odd number of samples,
    the filters take the sign. From its streaming export ours differ by whole frames, which leaves the synthesis as it is;
    but v1's waits for its noise.
    """
    n_bands, length = filters.shape
    size = model.pqmf.analysis.shape[1]
    middle = filters[:, (length - size) // 2 : (length + size) // 2]
    bank_delay, signs = delay_in_bands(size, n_bands), torch.ones(n_bands, 1)
    signs[1::2] = -1
    padding = extra_padding(original.encoder) + extra_padding(model.encoder)
    model.pqmf.analysis.copy_(middle.flip(1) * signs ** (1 + bank_delay + padding))
    late = noise_wait(original) if live else bank_delay + original.decoder.delay
    model.pqmf.synthesis.copy_(n_bands * middle * signs ** (1 + late))


def noise_wait(original: RAVE) -> int:
    """Band samples by which a centered v1's export delays its waveform for its noise, which is a frame late."""
    decoder = original.decoder
    if not isinstance(decoder, LoudnessDecoder) or decoder.noise is None or original.config["alignment"] == "release-causal":
        return 0
    return decoder.noise.frame - decoder.waveform.kernel_size[0] // 2


def extra_padding(encoder: nn.Module) -> int:
    """Band samples that the first strided layer pads beyond its kernel; all later layers pad multiples of two."""
    first = next(m for m in encoder.modules() if isinstance(m, Conv1d) and m.stride[0] > 1)
    return first.past.length - (first.kernel_size[0] - first.stride[0])
