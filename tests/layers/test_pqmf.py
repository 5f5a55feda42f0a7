"""The filter bank: reconstruction, delay, separation."""

import numpy as np
import pytest
import torch

from rave_lite import InputError
from rave_lite.layers import PQMF
from rave_lite.layers.pqmf import default_taps


def reconstruction_error(bank: PQMF, dtype: torch.dtype) -> float:
    """dB below white noise, after the bank's delay."""
    bank = bank.to(dtype)
    x = torch.randn(1, 1, bank.n_bands * 2000, generator=torch.Generator().manual_seed(0)).to(dtype)
    y = bank.inverse(bank(x))
    return float(10 * torch.log10((y[..., bank.delay :] - x[..., : -bank.delay]).pow(2).mean() / x.pow(2).mean()))


@pytest.mark.parametrize(("n_bands", "attenuation"), [(16, 100), (16, 70), (16, 40), (8, 80), (4, 60)])
def test_reconstruction_is_all_but_perfect(n_bands, attenuation):
    assert reconstruction_error(PQMF(n_bands, attenuation), torch.float64) < (-140 if attenuation == 100 else -75)
    assert reconstruction_error(PQMF(n_bands, attenuation), torch.float32) < (-115 if attenuation == 100 else -75)


def test_v2s_bank_has_512_taps_and_100_db():
    bank = PQMF(16, 100).double()
    assert default_taps(16, 100) == bank.analysis.shape[1] == 512
    assert bank.delay == 512 - 16
    response = 20 * np.log10(np.abs(np.fft.rfft(bank.analysis[0].numpy(), 1 << 15)) + 1e-12)
    frequency = np.linspace(0, 16, len(response))  # in bands
    assert response[frequency > 2].max() - response.max() < -100


def test_delay_is_the_impulses():
    bank = PQMF(16, 100)
    x = torch.zeros(1, 1, 4096)
    x[..., 1001] = 1
    y = bank.inverse(bank(x))
    assert int(y.abs().argmax()) - 1001 == bank.delay


def test_bands_keep_energy_and_order():
    bank = PQMF(16, 100)
    t = torch.arange(16 * 1000) / 44100
    for band in (0, 5, 15):
        tone = torch.sin(2 * torch.pi * (band + 0.5) * 44100 / 32 * t)[None, None]
        energy = bank(tone)[0, :, 100:].pow(2).sum(1)
        assert energy.argmax() == band
        assert energy[band] / energy.sum() > 0.999
    x = torch.randn(1, 1, 16 * 4000)
    assert bank(x).pow(2).sum() / x.pow(2).sum() == pytest.approx(1, abs=0.02)


def test_another_bank_can_be_loaded():
    bank, other = PQMF(16, 100), PQMF(16, 60, taps=512)
    bank.load_state_dict(other.state_dict())
    assert torch.equal(bank.analysis, other.analysis)
    assert reconstruction_error(bank, torch.float64) < -75


def test_every_design_is_orthonormal():
    for n_bands, attenuation in ((16, 100), (8, 60)):
        bank = PQMF(n_bands, attenuation).double()
        assert bank.analysis @ bank.analysis.T == pytest.approx(np.eye(n_bands), abs=1e-6)


@pytest.mark.parametrize("n_bands", [0, 3, 15])
def test_a_bank_has_a_power_of_two_of_bands(n_bands):
    with pytest.raises(InputError, match=rf"model\.n_bands: {n_bands} bands; say a power of two"):
        PQMF(n_bands, 100)


@pytest.mark.parametrize("alternate", [False, True])
def test_each_channel_has_its_bands(alternate):
    mono, stereo = PQMF(16, 100, alternate=alternate), PQMF(16, 100, alternate=alternate, channels=2)
    x = torch.randn(2, 2, 4096, generator=torch.Generator().manual_seed(0))
    bands = stereo(x)
    assert torch.allclose(bands, torch.cat([mono(x[:, :1]), mono(x[:, 1:])], 1), atol=1e-6)
    y = stereo.inverse(bands)
    assert torch.allclose(y[..., stereo.delay :], x[..., : -stereo.delay], atol=1e-5)


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(InputError, match=r"model\.channels: 3; say 1 or 2"):
        PQMF(16, 100, channels=3)
