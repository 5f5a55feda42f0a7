"""Every layer keeps the streaming contract, at every alignment and at the delays that alignment brings about."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rave_lite.layers import (
    ALIGNMENTS,
    PQMF,
    Conv1d,
    ConvTranspose1d,
    Noise,
    NoiseSynth,
    ResidualUnit,
    SeededNoise,
    reset,
    seed_noise,
    set_noise,
    stream,
)
from tests.streaming import assert_streams


class Bank(nn.Module):
    """Analysis then synthesis, both streaming."""

    def __init__(self):
        super().__init__()
        self.pqmf = PQMF(4, 60)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pqmf.inverse(self.pqmf(x))


LAYERS = {
    "conv": (lambda: Conv1d(3, 5, 7), 1, 3),
    "conv dilated": (lambda: Conv1d(3, 5, 3, dilation=9, alignment="centered"), 1, 3),
    "conv 1x1": (lambda: Conv1d(3, 5, 1), 1, 3),
    "conv strided": (lambda: Conv1d(3, 5, 8, stride=4), 4, 3),
    "conv strided, late input": (lambda: Conv1d(3, 5, 8, stride=4, alignment="centered", delay=3), 4, 3),
    "transposed": (lambda: ConvTranspose1d(3, 5, 4, alignment="centered", delay=2), 1, 3),
    "residual": (lambda: ResidualUnit(4, dilation=3), 1, 4),
    "residual centered": (lambda: ResidualUnit(4, dilation=9, alignment="centered", delay=5), 1, 4),
    "residual snake": (lambda: ResidualUnit(4, dilation=3, activation="snake"), 1, 4),
    "analysis": (lambda: PQMF(4, 60), 4, 1),
    "bank": (Bank, 4, 1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_streams(name, tmp_path):
    make, hop, channels = LAYERS[name]
    assert_streams(make(), hop=hop, channels=channels, folder=tmp_path)


@settings(max_examples=25)
@given(kernel=st.integers(1, 9), dilation=st.integers(1, 9), stride=st.integers(1, 5),
       alignment=st.sampled_from(ALIGNMENTS), delay=st.integers(0, 20))
def test_any_convolution_streams(kernel, dilation, stride, alignment, delay):
    kernel = max(kernel, stride)
    assert_streams(Conv1d(2, 3, kernel, stride=stride, dilation=dilation, alignment=alignment, delay=delay),
                   hop=stride, channels=2, frames=30)


@pytest.mark.parametrize(("filter_bands", "framewise"), [(8, False), (3, False), (8, True), (3, True)])
def test_noise_synth_streams_with_the_same_noise(filter_bands, framewise):
    """Offline, noise comes from torch; with the noise source of the streaming form it streams like any layer."""
    synth = NoiseSynth(4, 3, ratios=[2, 2], hidden=5, filter_bands=filter_bands, framewise=framewise).double()
    synth.noise = SeededNoise(3, torch.ones(()))
    x = torch.randn(2, 4, 160, dtype=torch.float64)
    live = stream(synth, 2)
    with torch.no_grad():
        streamed = torch.cat([live(block) for block in x.split([4, 12, 8, 80, 4, 52], -1)], -1)
        assert torch.allclose(streamed, synth(x), atol=1e-12, rtol=0)
    assert streamed.abs().max() > 1e-3


def test_streaming_noise_is_white_gaussian_and_its_own():
    """Moments, spectrum and the independence of channels, streams and sources, within what the sample's size allows."""
    channels, frames = 24, 40_000
    both = stream(nn.Sequential(Noise(channels), Noise(channels)), 2)
    with torch.no_grad():
        first, second = (part(torch.zeros(2, 1, frames, dtype=torch.float64)).flatten(0, 1) for part in both)
    everything = torch.cat([first, second])
    count = everything.numel() ** 0.5
    for power, moment, spread in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert (everything**power).mean() == pytest.approx(moment, abs=5 * spread / count)
    correlation = torch.corrcoef(everything).fill_diagonal_(0)
    assert correlation.abs().max() < 6 / frames**0.5
    density = torch.fft.rfft(everything).abs().square().mean(0)[1:-1] / frames
    assert float(density.std()) == pytest.approx(len(everything) ** -0.5, rel=0.1)


def test_streaming_noise_depends_on_the_seed_and_the_time_alone():
    live = stream(Noise(3), 2)
    x = torch.zeros(2, 1, 100)
    whole = live(x)
    reset(live)
    assert torch.equal(torch.cat([live(x[..., :n]) for n in (1, 29, 70)], -1), whole)
    seed_noise(live, 7)
    other = live(x)
    assert (other - whole).abs().min(-1).values.max() > 0
    seed_noise(live, 0)
    assert torch.equal(live(x), whole)


def test_noise_amount_zero_is_silence_and_noise_is_reproducible():
    synth = NoiseSynth(4, 3, ratios=[2, 2], hidden=5, filter_bands=8)
    x = torch.randn(1, 4, 64)
    torch.manual_seed(1)
    first = synth(x)
    torch.manual_seed(1)
    assert torch.equal(first, synth(x))
    assert not torch.equal(first, synth(x))
    set_noise(synth, 0)
    assert synth(x).abs().max() == 0


def test_stream_is_a_copy_and_leaves_the_original_trainable():
    module = Conv1d(2, 2, 3)
    live = stream(module, 1)
    x = torch.randn(1, 2, 10)
    assert torch.allclose(live(x), module(x), atol=1e-6)
    module(x).sum().backward()
    assert module.parametrizations.weight.original0.grad is not None
    assert not any(p.requires_grad for p in live.parameters())
    twice = stream(module, 1)  # the first copy must not have changed the class
    assert torch.allclose(twice(x), module(x), atol=1e-6)


def test_independent_streams_do_not_hear_each_other():
    live = stream(Conv1d(1, 1, 5), 2)
    x = torch.randn(2, 1, 12)
    live(x)
    both = live(x)
    reset(live)
    live(torch.cat([x[:1], torch.zeros(1, 1, 12)]))
    assert torch.equal(live(torch.cat([x[:1], torch.zeros(1, 1, 12)]))[:1], both[:1])


def test_too_many_streams_is_an_error():
    with pytest.raises(RuntimeError):
        stream(Conv1d(1, 1, 5), 2)(torch.zeros(3, 1, 8))
