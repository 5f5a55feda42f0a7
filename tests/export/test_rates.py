"""A file for a host at another sampling rate than the model's is one like others: ratios, methods, the same samples."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rave_lite import set_noise
from rave_lite.export.blocks import stream_blocks
from rave_lite.export.card import warnings
from rave_lite.export.torchscript import Live, load
from rave_lite.layers.resample import host_rate
from rave_lite.model import RAVE, read_checkpoint
from tests.models import measured, written

RATES = [48000, 22050, *(pytest.param(rate, marks=pytest.mark.slow) for rate in (96000, 32000))]
FRAMES = 40  # of the host, in the signal


@pytest.fixture(scope="module", params=RATES)
def file(request, tmp_path_factory) -> tuple[RAVE, Any]:
    """A model at 44100 Hz, and its file for a host at another rate, loaded."""
    model = measured("model=low_latency").eval()
    return model, load(written(model, tmp_path_factory.mktemp("rates"), sample_rate=request.param, channels=2))


def test_hosts_find_an_ordinary_file(file):
    model, live = file
    frame = Fraction(model.hop * live.sample_rate, model.sample_rate)
    assert live.hop in (64, 128, 256)
    assert live.hop <= frame < 2 * live.hop
    assert live.regular == (frame == live.hop)
    assert live.get_methods() == ["encode", "decode", "forward"]
    assert live.encode_params.tolist() == [2, 1, 32, live.hop]
    assert live.decode_params.tolist() == [32, live.hop, 2, 1]
    assert live.forward_params.tolist() == [2, 1, 2, 1]
    with pytest.raises(torch.jit.Error, match=f"no multiple of {live.hop}"):
        live(torch.zeros(1, 2, live.hop + 1))


@torch.no_grad()
def offline(model: RAVE, live: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """What `forward` and `encode` of the file should give for the whole of `x`."""
    to_model, to_host, hop, latency = host_rate(model.sample_rate, live.sample_rate, hop=model.hop, latency=model.latency,
                                                latent_size=1, batch_size=4)
    assert (hop, latency) == (live.hop, live.latency)
    z = model.encode(to_model(x.reshape(-1, 1, x.shape[2])))
    frame = Fraction(model.hop * live.sample_rate, model.sample_rate)
    newest = [-(-(k + 1) * hop // frame) - 1 for k in range(x.shape[2] // hop)]  # whose samples have begun: zeros came first
    return to_host(model.decode(z), x.shape[2]).view(x.shape), model.principal(z)[..., newest].reshape(2, 32, -1)


@settings(max_examples=8)
@given(blocks=st.lists(st.integers(1, 12), min_size=1), others=st.lists(st.integers(1, 12), min_size=1))
def test_any_blocks_give_what_the_model_does(file, blocks, others):
    """forward, encode, and decode of what encode gave, two stereo streams; the last in other blocks."""
    model, live = file
    set_noise(model, 0)
    live.set_noise(0.0)
    x, sizes = 0.3 * torch.randn(2, 2, FRAMES * live.hop), [n * live.hop for n in blocks]
    expected, latents = offline(model, live, x)
    assert expected.square().mean() > 1e-4
    live.reset()
    output = stream_blocks(live, x, sizes)
    assert torch.allclose(output, expected, atol=1e-5)
    live.reset()
    p = stream_blocks(live.encode, x, sizes)
    assert torch.allclose(p, latents, atol=1e-5 * float(latents.abs().max().clamp_min(1)))
    assert torch.allclose(stream_blocks(live.decode, p, others), expected, atol=1e-5)
    live.reset()
    assert torch.equal(stream_blocks(lambda block: live.decode(live.encode(block)), x, sizes), output)


def test_attributes_turn_what_decode_plays(file):
    """scale, bias and from_silence, with blocks in which the model has no frame."""
    model, live = file
    set_noise(model, 0)
    live.set_noise(0.0)
    x = 0.3 * torch.randn(1, 2, FRAMES * live.hop)

    def play() -> tuple[Tensor, Tensor]:
        live.reset()
        output = stream_blocks(live, x, [live.hop])
        live.reset()
        return output, stream_blocks(lambda block: live.decode(live.encode(block)), x, [live.hop])

    plain, _ = play()
    for name, value, default in (("from_silence", 1.0, 0.0), ("scale_1", 0.5, 1.0), ("bias_2", 1.0, 0.0)):
        getattr(live, f"set_{name}")(value)
        forward, by_latents = play()
        getattr(live, f"set_{name}")(default)
        if name == "from_silence":
            assert torch.allclose(by_latents, plain, atol=1e-5)
        else:
            assert torch.equal(by_latents, forward)
            assert (forward - plain).abs().max() > 1e-3


def test_an_impulse_is_late_by_the_latency(file):
    _, live = file
    live.set_dry_wet(0.0)
    live.reset()
    x = torch.zeros(1, 2, -(-(live.latency + 300) // live.hop) * live.hop)
    x[:, 0, 77] = x[:, 1, 131] = 1
    y = stream_blocks(live, x, [live.hop])
    live.set_dry_wet(1.0)
    live.reset()
    assert y.argmax(2).tolist() == [[77 + live.latency, 131 + live.latency]]


@torch.no_grad()
def test_fewer_bits_and_latents(tmp_path):
    """The latents that the file has not stay at their mean; 16 bits are near."""
    model = measured("model=low_latency")
    live = load(written(model, tmp_path, sample_rate=48000, precision="float16", latent_size=3))
    set_noise(model, 0)
    live.set_noise(0.0)
    x = 0.3 * torch.randn(1, 1, FRAMES * live.hop)
    to_model, to_host, _, _ = host_rate(model.sample_rate, 48000, hop=model.hop, latency=model.latency, latent_size=1,
                                        batch_size=1)
    p = model.principal(model.encode(to_model(x)))
    p[:, 3:] = 0
    expected = to_host(model.decode(model.principal.inverse(p)), x.shape[2])
    latents = stream_blocks(live.encode, x, [live.hop, 3 * live.hop])
    assert latents.shape == (1, 3, FRAMES)
    error = stream_blocks(live.decode, latents, [1, 3]) - expected
    assert error.square().mean() < 1e-3 * expected.square().mean()


def test_export_says_what_another_rate_costs():
    checkpoint = read_checkpoint(Path(__file__).parents[1] / "model/version_5c1e059.ckpt")
    model = RAVE.from_checkpoint(checkpoint)
    said = "\n".join(warnings(Live(model, batch_size=1, sample_rate=48000), model, checkpoint))
    assert "costs 47.9 ms of latency; a model trained with model.sample_rate=48000" in said
    assert "latency" not in "\n".join(warnings(Live(model, batch_size=1), model, checkpoint))
