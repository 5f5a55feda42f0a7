"""Principal directions against a latent whose directions are known."""

import pytest
import torch

from rave_lite.model.principal import Principal
from tests.conftest import build


def test_known_directions_are_found_in_order_with_louder_positive():
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator))[0]
    deviations = torch.tensor([0.1, 3.0, 1.0, 0.3, 2.0])
    sources = torch.randn(20_000, 5, generator=generator) * deviations
    principal = Principal(5)
    principal.fit(sources @ rotation + 7, loudness=-sources[:, 1] + 0.1 * torch.randn(20_000, generator=generator))
    order = [1, 4, 2, 3, 0]
    agreement = (principal.directions @ rotation[order].T).diagonal()
    assert torch.allclose(agreement.abs(), torch.ones(5), atol=1e-2)
    assert agreement[0] < 0  # quieter along the source, so the direction is turned round
    assert principal.variance.sqrt().tolist() == pytest.approx(deviations[order].tolist(), rel=0.05)
    assert principal.carried(1) == pytest.approx(9 / 14.1, abs=0.02)


def test_there_and_back_is_exact_and_fewer_directions_are_the_best_approximation():
    z = torch.randn(3, 6, 50, dtype=torch.float64) * torch.arange(1, 7, dtype=torch.float64)[:, None]
    principal = Principal(6).double()
    principal.fit(z.transpose(1, 2).flatten(0, 1), torch.randn(150))
    p = principal(z)
    assert torch.allclose(principal.inverse(p), z, atol=1e-12)
    assert p.mean((0, 2)).abs().max() < 1e-12
    errors = [float((principal.inverse(p[:, :n]) - z).square().sum((0, 1, 2)) / 149) for n in range(1, 7)]
    assert errors == pytest.approx([float(principal.variance[n:].sum()) for n in range(1, 7)], abs=1e-9)


def test_few_frames_and_broken_ones_are_survived():
    principal = Principal(8)
    principal.fit(torch.randn(3, 8), torch.zeros(3))
    assert torch.allclose(principal.directions @ principal.directions.T, torch.eye(8), atol=1e-5)
    before = principal.directions.clone()
    principal.fit(torch.full((10, 8), float("nan")), torch.zeros(10))
    assert torch.equal(principal.directions, before)


@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_a_models_first_direction_follows_the_level(alignment):
    model = build("model=tiny", "model.capacity=4", f"model.alignment={alignment}").eval()
    swell = torch.linspace(0, 1, 64).repeat_interleave(model.hop)
    x = torch.randn(2, 1, 64 * model.hop) * swell
    model.fit_principal(x)
    delay = model.encoder.delay
    with torch.no_grad():
        p = model.principal(model.encode(x))[:, 0, delay:].mean(0)
    assert torch.corrcoef(torch.stack([p, torch.linspace(0, 1, len(p))]))[0, 1] > 0.5
