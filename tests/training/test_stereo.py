"""A stereo model in training: what is compared, what discriminators hear, a resume, a start from one channel."""

import pytest
import soundfile
import torch

from rave_lite.layers import set_noise
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.training.encoder_augmentation import EncoderAugmentation
from rave_lite.training.losses import views
from rave_lite.training.transfer import start_from
from tests.conftest import SETTINGS, write_audio
from tests.runs import run, stop_at, training

STEREO = "model.channels=2"


def test_a_swapped_or_narrowed_image_is_an_error():
    distance, x = training(STEREO).distance, 0.1 * torch.randn(2, 2, 8192) * torch.tensor([[1.0], [0.3]])
    narrow = torch.stack([0.7 * x[:, 0] + 0.3 * x[:, 1], 0.7 * x[:, 1] + 0.3 * x[:, 0]], 1)
    same, swapped, narrowed = (float(distance(views(x), views(y))["linear"]) for y in (x, x.flip(1), narrow))
    assert same == 0
    assert min(swapped, narrowed) > 0.5


def test_the_discriminators_hear_each_channel_changed_alike():
    module = training(STEREO, "training.ada={target: 0.6}", "phase1.steps=0")
    module.ada.p.fill_(0.8)
    x = 0.1 * torch.randn(3, 1, 8192) * torch.tensor([[1.0], [0.5]])
    reference, output = module.augment_for_discriminator(x, x)
    assert reference.shape == (6, 1, 8192)
    assert torch.allclose(reference[1::2], 0.5 * reference[::2], atol=1e-5)
    assert torch.allclose(reference, output, atol=1e-6)


@pytest.mark.parametrize("options", [[], ["training.balancer=0.99", "training.encoder_augmentation={p: 0.5}"],
                                     ["model.stereo=bands"]])
def test_both_phases_train_both_channels(options):
    module = training(STEREO, *options)
    optimizers = module.configure_optimizers()
    x = 0.1 * torch.randn(2, 2, 8192)
    for step in (0, 10, 11, 12):  # phase 1; phase 2 with a step of the discriminators
        module.step = step
        assert all(loss.isfinite() for loss in module.update_step(x, *optimizers).values())


@pytest.mark.parametrize("options", [
    ["model.noise={ratios: [2, 2], hidden: 4, filter_bands: 8}"], ["model=v1", "latent=variational", "model.capacity=4"]])
def test_a_model_of_one_channel_starts_one_of_two_that_plays_the_middle_as_it(options, tmp_path):
    mono, stereo = training(*options), training(*options, STEREO)
    mono.calibrate(0.1 * torch.randn(4, 1, 8192))
    content = {"model": mono.model.config, "config": {}, "step": 1, "state_dict": mono.state_dict()}
    torch.save(content, tmp_path / "mono.ckpt")
    report = start_from(stereo, read_checkpoint(tmp_path / "mono.ckpt"))
    assert set(report.new) == {"principal"}  # which is fitted anew
    assert not report.resized
    x = 0.1 * torch.randn(1, 2, 32 * mono.model.hop)
    for model in (mono.model.eval(), stereo.model.eval()):
        set_noise(model, 0)
    with torch.no_grad():
        one, two = mono.model(x.mean(1, keepdim=True)), stereo.model(x)
    assert one.abs().max() > 1e-3
    assert torch.allclose(two.mean(1, keepdim=True), one, atol=1e-5 * float(one.abs().max().clamp_min(1)))
    assert (two[:, 0] - two[:, 1]).abs().max() > 1e-3


def test_foreign_timbre_for_the_encoder_keeps_the_image():
    x = 0.1 * torch.randn(3, 1, 16384) * torch.tensor([[1.0], [0.25]])
    y = EncoderAugmentation(p=0.9)(x)
    assert (y - x).abs().max() > 0.1
    assert (y[:, 1] - 0.25 * y[:, 0]).square().mean() < 0.01 * y.square().mean()  # but for noise of its own


def test_a_stereo_run_resumes_exactly(tmp_path, monkeypatch):
    for i in range(4):
        write_audio(tmp_path / "audio", f"{i}.wav", 0.4, channels=1 + i % 2)
    options = [f"data.root={tmp_path / 'audio'}", f"data.cache={tmp_path / 'cache'}", *SETTINGS, STEREO,
               "augmentation=light"]
    run(tmp_path / "whole", *options)
    with monkeypatch.context() as patch:
        stop_at(8, patch)
        run(tmp_path / "half", *options)
    run(tmp_path / "half", *options, "resume=last")
    whole, half = (read_checkpoint(tmp_path / name) for name in ("whole", "half"))
    assert RAVE.from_checkpoint(whole).channels == 2
    assert whole.step == half.step
    assert all(torch.equal(value, half.state_dict[name]) for name, value in whole.state_dict.items())
    assert soundfile.info(next((tmp_path / "whole/logs/csv").rglob("held_out/*.wav"))).channels == 2
