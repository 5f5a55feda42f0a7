"""Days of playing, in moments: what counts is put to where it may overflow. `tests/bench/day.py` plays a whole day."""

import pytest
import torch

from rave_lite.export.torchscript import load
from tests.models import measured, written


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return load(written(measured(), tmp_path_factory.mktemp("days")))


def played(live, frame: int, blocks: list[int]) -> torch.Tensor:
    """Noise through the file from latent frame `frame` on, in blocks of so many hops, `(samples,)`."""
    live.reset()
    dict(live.named_buffers())["live.core.decoder.noise.position"].fill_(frame)
    x = 0.1 * torch.randn(1, 1, sum(blocks) * live.hop, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return torch.cat([live(part).clone() for part in x.split([n * live.hop for n in blocks], -1)], -1).flatten()


def test_the_noise_goes_on_for_days(live):
    """Over a day, and over where samples, samples of a band and latent frames exceed 31 and 32 bits; then it repeats."""
    band = live.hop // 16  # samples of a band for each latent frame
    first = played(live, 0, [8])
    counts = [86400 * live.sample_rate // live.hop, *(2**31 // live.hop, 2**31 // band, 2**32 // band, 2**32)]
    for count in counts:
        whole = played(live, count - 4, [8])
        assert (played(live, count - 4, [1, 2, 2, 1, 2]) - whole).abs().max() <= 1e-5 * whole.abs().max()
        assert whole.std() == pytest.approx(first.std().item(), rel=0.2)
        assert (whole - first).abs().max() > 0.01 * first.abs().max()
    assert torch.equal(played(live, 2**32, [8]), first)
