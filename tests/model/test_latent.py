"""Latent penalties against brute force and closed forms."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from rave_lite.model.latent import KERNELS, Variational, Wasserstein, mmd, squared_distances


@pytest.mark.parametrize("kernel", KERNELS)
def test_mmd_is_the_double_sum(kernel):
    x, y = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64) + 1

    def k(a, b):
        return float(KERNELS[kernel](((a - b) ** 2).sum(), 3))

    pairs = [(i, j) for i in range(7) for j in range(7)]
    within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs if i != j) / 42
    across = sum(k(x[i], y[j]) for i, j in pairs) / 49
    assert float(mmd(x, y, KERNELS[kernel])) == pytest.approx(within - 2 * across, abs=1e-12)


def test_distances_need_no_cube():
    x, y = torch.randn(50, 16, dtype=torch.float64), torch.randn(40, 16, dtype=torch.float64)
    assert torch.allclose(squared_distances(x, y), torch.cdist(x, y) ** 2, atol=1e-10)


@pytest.mark.parametrize("kernel", ["energy", "imq"])
def test_mmd_tells_a_gaussian_from_others(kernel):
    torch.manual_seed(0)
    same, wide, off = (mmd(torch.randn(400, 16) * s + m, torch.randn(400, 16), KERNELS[kernel])
                       for s, m in ((1, 0), (3, 0), (1, 1)))
    assert abs(same) < 4e-3
    assert wide > 10 * abs(same)
    assert off > 10 * abs(same)


def test_the_energy_distance_pulls_from_far_off_as_from_near():
    def pull(deviation: float, kernel: str) -> float:
        scale = torch.tensor(deviation, dtype=torch.float64, requires_grad=True)
        torch.manual_seed(0)
        penalty = mmd(scale * torch.randn(200, 16, dtype=torch.float64), torch.randn(200, 16, dtype=torch.float64),
                      KERNELS[kernel])
        return float(torch.autograd.grad(penalty, scale)[0])

    assert pull(500, "energy") == pytest.approx(pull(5, "energy"), rel=0.5)
    assert pull(500, "imq") < 1e-3 * pull(5, "imq")


@pytest.mark.parametrize("shape", [(2, 16, 1024), (3, 16, 333), (600, 16, 1)])
def test_the_memory_of_the_penalty_is_bounded(shape):
    # low_latency has 8192 frames in 8 windows of 131072 samples: a matrix of all pairs takes 1 GiB, and it takes seven
    h = torch.randn(shape, requires_grad=True)
    with torch.profiler.profile(profile_memory=True, acc_events=True) as profiler:
        Wasserstein().penalty(h).backward()
    assert max(event.cpu_memory_usage for event in profiler.events()) < 2**25


def test_the_penalty_of_long_windows_is_that_of_all_frames():
    torch.manual_seed(0)
    h = torch.randn(8, 16, 256) * torch.linspace(0.2, 1.8, 256)  # quiet at first, loud at the end
    some, every = Wasserstein().penalty(h), mmd(h.transpose(1, 2).flatten(0, 1), torch.randn(2048, 16), KERNELS["imq"])
    assert float(some) == pytest.approx(float(every), rel=0.2)


@pytest.mark.parametrize("kernel", KERNELS)
def test_equal_latents_have_a_finite_pull(kernel):
    h = torch.zeros(1, 16, 50, requires_grad=True)
    assert torch.isfinite(torch.autograd.grad(Wasserstein(kernel=kernel).penalty(h), h)[0]).all()


def test_wasserstein_adds_noise_channels_and_keeps_the_latent():
    latent = Wasserstein(size=4, noise_channels=3)
    h = torch.randn(2, 4, 10)
    z, penalty = latent.sample(h)
    assert torch.equal(z, h)
    assert penalty.shape == ()
    wide = latent.widen(z)
    assert torch.equal(wide[:, :4], z)
    assert wide.shape == (2, 7, 10)
    assert wide[:, 4:].std() > 0.5


@pytest.mark.parametrize("shift", [0, -3])
def test_variational_penalty_is_the_kl_divergence(shift):
    latent = Variational(size=3)
    latent.shift.fill_(shift)
    h = torch.randn(2, 6, 5, dtype=torch.float64)
    mean, scale = h.chunk(2, 1)
    std = torch.nn.functional.softplus(scale + shift) + 1e-4
    expected = kl_divergence(Normal(mean, std), Normal(torch.zeros_like(mean), torch.ones_like(std))).sum(1).mean()
    z, penalty = latent.sample(h)
    assert float(penalty) == pytest.approx(float(expected))
    assert not torch.equal(z, mean)
    assert torch.equal(latent.mean(h), mean)
