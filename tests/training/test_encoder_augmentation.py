"""Augmentation of the encoder's input: another timbre at the same times and levels, the target unchanged."""

import pytest
import torch
from torch.testing import assert_close

from rave_lite import InputError
from rave_lite.training.encoder_augmentation import EncoderAugmentation, agreement, rms
from tests.runs import audio, gradients, training

ON = "training.encoder_augmentation={p: 0.5, agreement: 1.0}"


def strokes(length: int = 16384) -> torch.Tensor:
    """Three windows `(3, 1, length)` of noise that dies away, at different times."""
    sound = torch.zeros(3, 1, length)
    for item, start in enumerate((1000, 5000, 9000)):
        decay = torch.exp(-torch.arange(length - start) / 800)
        sound[item, 0, start:] = 0.3 * decay * torch.randn(length - start, generator=torch.Generator().manual_seed(item))
    return sound


def levels(x: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(x.unflatten(2, (-1, 512)).square().mean(3) + 1e-6).squeeze(1)


def test_the_timbre_changes_and_the_gesture_stays():
    torch.manual_seed(0)
    x = strokes()
    y = EncoderAugmentation(p=1.0)(x)
    assert y.shape == x.shape
    assert_close(rms(y), rms(x), rtol=0.02, atol=0)
    for before, after in zip(levels(x), levels(y), strict=True):
        assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.8
        assert abs(int(before.argmax()) - int(after.argmax())) <= 1
    spectra = [torch.fft.rfft(s[:, 0]).abs().square() for s in (x, y)]
    assert ((spectra[0] - spectra[1]).abs().sum(1) > 0.5 * spectra[0].sum(1)).all()
    torch.manual_seed(0)
    assert torch.equal(EncoderAugmentation(p=1.0)(x), y)
    assert_close(EncoderAugmentation(p=0.0)(x), x)
    assert EncoderAugmentation(p=1.0)(0 * x).abs().max() == 0


def test_what_is_decoded_and_what_shall_agree():
    h = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(EncoderAugmentation(p=0.0).choose(h), h[:3])
    assert torch.equal(EncoderAugmentation(p=1.0).choose(h), h[3:])
    plain, changed = (part.clone().requires_grad_() for part in h.chunk(2))
    assert agreement(plain, plain) == 0
    distance = agreement(plain, changed)
    assert_close(distance, agreement(10 * plain, 10 * changed))
    distance.backward()
    assert plain.grad is None
    assert changed.grad.abs().max() > 0


def test_a_learning_encoder_hears_it_and_nothing_else_changes():
    plain, augmented = training(), training(ON)
    augmented.load_state_dict(plain.state_dict())
    losses = augmented.generator_losses(audio())
    assert "agreement" in losses
    assert "agreement" not in plain.generator_losses(audio())
    losses["agreement"].backward()
    assert gradients(augmented.model.encoder) == {True}
    assert not any(p.grad.any() for p in augmented.model.decoder.parameters() if p.grad is not None)
    with torch.no_grad():
        assert len(augmented.reconstruct_bands(audio())[2]) == len(audio())
    augmented.step = augmented.phase1_steps  # the encoder is frozen
    assert "agreement" not in augmented.generator_losses(audio())


@pytest.mark.parametrize(("setting", "message"), [
    ("1", "say null, or"), ("{q: 1}", "say null, or"), ("{p: 2}", "encoder_augmentation.p: 2; say 0.5"),
    ("{agreement: -1}", "encoder_augmentation.agreement: -1; say 1.0")])
def test_impossible_settings(setting, message):
    with pytest.raises(InputError, match=message):
        training(f"training.encoder_augmentation={setting}")
