"""The rate converter against the sinusoid it should give, for ratios of audio and odd ones, in any blocks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite.layers.resample import Resample, host_rate

RATES = [(44100, 48000), (48000, 44100), (44100, 96000), (44100, 88200), (48000, 32000), (44100, 44101)]


def sine(frequency: float, rate: int, times: np.ndarray) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency / rate * times)


def level(error: torch.Tensor) -> float:
    return 20 * math.log10(float(error.abs().max()) + 1e-12)


@pytest.mark.parametrize(("rate", "to"), RATES)
@pytest.mark.parametrize("part", [0.05, 0.5, 0.8])
def test_a_sinusoid_stays_one_and_is_late_by_the_delay(rate, to, part):
    """`part`: its frequency relative to half the lower rate."""
    common = math.gcd(rate, to)
    up, down = to // common, rate // common
    resample = Resample(up, down, 1, extra=3)
    frequency = part * min(rate, to) / 2
    y = resample(torch.from_numpy(sine(frequency, rate, np.arange(6000))).float().view(1, 1, -1))
    assert y.shape[2] == -(-6000 * up // down)
    times = (np.arange(y.shape[2]) * down - resample.delay) / up
    error = y[0, 0] - torch.from_numpy(sine(frequency, rate, times)).float()
    assert level(error[500:]) < -70


def test_what_lies_above_the_lower_rates_half_is_gone():
    tone = torch.from_numpy(sine(23_000, 96000, np.arange(20000))).float().view(1, 1, -1)
    assert level(Resample(147, 320, 1)(tone)[..., 500:]) < -75


@settings(max_examples=30)
@given(rates=st.sampled_from(RATES), hop=st.sampled_from([2, 7, 128, 2048]), latency=st.integers(0, 500),
       sizes=st.lists(st.integers(1, 3000), min_size=1))
def test_there_and_back_is_the_signal_later_whatever_the_blocks(rates, hop, sizes, latency):
    """Through a model that only delays: blocks keep their length, and the signal is late by exactly the stated latency."""
    model_rate, rate = rates
    to_model, to_host, frame, delay = host_rate(model_rate, rate, hop=hop, latency=latency, latent_size=1, batch_size=2)
    past = torch.zeros(2, 1, latency)
    sizes = [-(-n // frame) * frame for n in sizes]
    signal = torch.from_numpy(sine(500, rate, np.arange(sum(sizes)))).float()
    x = torch.stack([signal, -signal])[:, None]
    output = []
    for piece in x.split(sizes, 2):
        inside = to_model(piece)
        assert inside.shape[2] % hop == 0
        joined = torch.cat([past, inside], 2)
        inside, past = joined[..., : inside.shape[2]], joined[..., inside.shape[2] :]
        output.append(to_host(inside, piece.shape[2]))
        assert output[-1].shape == piece.shape
    y = torch.cat(output, 2)
    assert torch.allclose(y[0], -y[1])
    settled = delay + 300
    if y.shape[2] > settled:
        assert level(y[0, 0, settled:] - signal[settled - delay : -delay]) < -65


@pytest.mark.parametrize(("hop", "latency"), [(2048, 496), (512, 496), (128, 240), (2048, 25040)])
@pytest.mark.parametrize("rate", [48000, 96000, 22050, 32000, 88200])
def test_an_impulse_is_late_by_the_latency(rate, hop, latency):
    """With the hops and latencies of v2, v2_small, low_latency and a centered v2: it comes out there, symmetric."""
    to_model, to_host, frame, delay = host_rate(44100, rate, hop=hop, latency=latency, latent_size=1, batch_size=1)
    at = 3 * frame + 77
    x = torch.zeros(1, 1, -(-(at + delay + 100) // frame) * frame)
    x[..., at] = 1
    inside = torch.nn.functional.pad(to_model(x), (latency, 0))[..., : -latency or None]
    y = to_host(inside, x.shape[2])[0, 0]
    assert int(y.argmax()) == at + delay
    around = y[at + delay - 60 : at + delay + 61]
    assert torch.allclose(around, around.flip(0), atol=2e-3)


@settings(max_examples=30)
@given(rates=st.sampled_from(RATES), hop=st.sampled_from([2, 7, 128]), sizes=st.lists(st.integers(1, 40), min_size=1))
def test_latents_at_the_frames_of_the_host(rates, hop, sizes):
    """Each frame has the newest latent, as counted frame by frame, and each latent falls due once, whatever the blocks.

    So it does where latents come a frame late, as in nn~ with a block of the hop.
    """
    to_model, to_host, frame, _ = host_rate(*rates, hop=hop, latency=0, latent_size=3, batch_size=2)
    assert frame & (frame - 1) == 0
    assert rates[0] * frame <= hop * rates[1] < rates[0] * 2 * frame
    counts = np.cumsum([to_model(torch.zeros(1, 1, frame)).shape[2] // hop for _ in range(sum(sizes))])
    assert set(np.diff(counts)) <= {0, 1}
    to_model.reset()
    latents, complete, output, used = torch.randn(2, 3, int(counts[-1])), 0, [], []
    for n in sizes:
        first, complete = complete, complete + to_model(torch.zeros(2, 1, n * frame)).shape[2] // hop
        output.append(to_model.newest(latents[..., first:complete], n))
    output = torch.cat(output, 2)
    assert torch.equal(output, latents[..., counts - 1])
    for part in output.split(sizes[::-1], 2):
        used.append(to_host.due(part))
        to_host(torch.zeros(2, 1, used[-1].shape[2] * hop), part.shape[2] * frame)
    assert torch.equal(torch.cat(used, 2), latents)
    to_host.reset()
    late, expected = (torch.nn.functional.pad(p, (1, 0))[..., :-1] for p in (output, latents))
    assert torch.equal(to_host.due(late), expected)


def test_reset_starts_anew():
    to_model, to_host, _, _ = host_rate(44100, 48000, hop=64, latency=0, latent_size=1, batch_size=1)

    def play(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        frames, inside = x.shape[2] // 64, to_model(x)
        p = to_model.newest(inside[..., ::64], frames)
        due = to_host.due(p)
        return to_host(inside, x.shape[2]), p, due

    x = torch.randn(1, 1, 1024)
    first = play(x)
    play(torch.randn(1, 1, 832))
    to_model.reset()
    to_host.reset()
    assert all(map(torch.equal, play(x), first))
    same, _, hop, latency = host_rate(44100, 44100, hop=64, latency=9, latent_size=1, batch_size=1)
    assert same(x) is same.newest(x, 16) is x
    assert (hop, latency) == (64, 9)
