"""The discrete latent: codes and back, its gradients, entries that stay in use, and training that quantises at once."""

import pytest
import torch
from torch.testing import assert_close

from rave_lite.errors import InputError
from rave_lite.model.discrete import ALIVE, Discrete
from tests.conftest import build
from tests.streaming import assert_streams

SMALL = ("model=tiny", "model.capacity=4", "latent=discrete", "latent.codebooks=4", "latent.entries=16")


def latent() -> Discrete:
    torch.manual_seed(0)
    return Discrete(size=6, codebooks=4, entries=16, dimension=3, dropout=0.5)


@pytest.mark.parametrize("wrong", [{"codebooks": 0}, {"entries": 1}, {"dimension": 0}, {"dropout": 1.5},
                                   {"lookup": "nearest"}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(InputError, match=str(next(iter(wrong.values())))):
        Discrete(**wrong)


def test_codes_and_back():
    made, h = latent().eval(), torch.randn(2, 6, 40)
    codes = made.codes(h)
    assert codes.shape == (2, 4, 40)
    assert codes.min() >= 0
    assert codes.max() < 16
    assert torch.equal(made.from_codes(codes), made.mean(h))
    assert torch.equal(made.draw(h), made.mean(h))


@torch.no_grad()
def test_more_codebooks_are_nearer_once_fitted():
    made, h = latent().eval(), torch.randn(4, 6, 200)
    made.fit(h)
    tables = torch.bmm(made.entries, made.out)
    codes, z, errors = made.codes(h), 0, []
    for q in range(4):
        z = z + tables[q][codes[:, q]].transpose(1, 2)
        errors.append((z - h).square().mean().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * float(h.square().mean())


@torch.no_grad()
def test_a_euclidean_lookup_keeps_levels_that_directions_do_not_tell():
    h, errors = torch.randn(4, 16, 400) * torch.randn(4, 1, 400).exp(), {}
    for lookup in ("cosine", "euclidean"):
        torch.manual_seed(0)
        made = Discrete(codebooks=4, lookup=lookup).eval()
        made.fit(h)
        errors[lookup] = float((made.mean(h).norm(dim=1).log10() - h.norm(dim=1).log10()).abs().mean())
    assert errors["euclidean"] < 0.5 * errors["cosine"]


def test_the_encoder_gets_a_gradient_and_the_entries_the_penaltys():
    made, h = latent(), torch.randn(2, 6, 40, requires_grad=True)
    made.draw(h).square().sum().backward()
    assert h.grad.abs().sum() > 0
    assert made.entries.grad is None
    made.penalty(h).backward()
    assert made.entries.grad.abs().sum() > 0


@torch.no_grad()
def test_entries_that_no_frame_gets_are_replaced():
    made = latent()
    made.entries[:, 8:] = made.entries[:, :8]  # of equal ones the first is taken
    for step in range(400):
        torch.manual_seed(step)
        with torch.enable_grad():
            made.draw(torch.randn(4, 6, 40))
    made.eval()
    codes = made.codes(torch.randn(4, 6, 2000))
    shares = torch.stack([torch.bincount(codes[:, q].flatten(), minlength=16) for q in range(4)]) / 8000
    assert (shares > ALIVE / 16).float().mean() > 0.9  # half of them were never used before
    assert made.figures(10.0)["codes/in_use"] > 0.9
    assert made.figures(10.0)["codes/bits_per_second"] == pytest.approx(160)
    assert 8 < made.figures(10.0)["codes/perplexity"] <= 16


def test_dropout_leaves_out_the_last_codebooks():
    made, h = latent(), torch.randn(64, 6, 3)
    with torch.no_grad():
        whole = made.eval().mean(h)
        drawn = made.train().draw(h)
    equal = (drawn - whole).abs().amax((1, 2)) < 1e-5
    assert 0.4 < equal.float().mean() < 0.9


def test_a_model_of_codes_streams(tmp_path):
    rave = build(*SMALL).eval()
    with torch.no_grad():
        rave.decoder.waveform.weight = rave.decoder.waveform.weight * 30
    assert_streams(rave, hop=rave.hop, frames=12, folder=tmp_path)


@torch.no_grad()
def test_calibration_fits_the_codebooks():
    rave, x = build(*SMALL), torch.randn(4, 1, 16384)
    rave.calibrate(x)
    h = rave.encoder(rave.pqmf(x))
    assert_close(h.square().mean(), torch.tensor(1.0))
    assert (rave.eval().latent.mean(h) - h).square().mean() < 0.5


@torch.no_grad()
def test_a_model_gives_codes_if_it_has_some():
    rave, x = build(*SMALL).eval(), torch.randn(1, 1, 8192)
    codes = rave.encode_codes(x)
    assert codes.shape == (1, 4, 8192 // rave.hop)
    assert torch.equal(rave.latent.from_codes(codes), rave.encode(x))
    with pytest.raises(InputError, match="latent=discrete"):
        build("model=tiny", "model.capacity=4").encode_codes(x)
