"""The image of a stereo model: what its latents say, what they make of a middle, and that the network has one channel."""

import numpy as np
import pytest
import torch

from rave_lite import InputError, set_noise
from rave_lite.evaluation.figures import image
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.model.calibration import SourceMoments
from rave_lite.model.principal import Principal
from rave_lite.model.stereo import ImageAnalysis, ImageSynthesis
from tests.conftest import build
from tests.models import measured

BANDS, RATE = 4, 256
STEREO = ("model=tiny", "model.capacity=4", "model.channels=2")


def panned(db: float, common: float, length: int, channels: int = BANDS) -> torch.Tensor:
    """Noise `(1, 2 * channels, length)`, float64, left so much louder than right, and their correlation."""
    both, left, right = torch.randn(3, channels, length, dtype=torch.float64)
    angle = np.arctan(10 ** (db / 20))
    rows = [gain * (common**0.5 * both + (1 - common) ** 0.5 * own)
            for gain, own in ((np.sin(angle), left), (np.cos(angle), right))]
    return 2**0.5 * torch.cat(rows)[None]


@pytest.mark.parametrize("rate", [8, RATE])
def test_the_latents_are_place_and_width(rate):
    """Against their definition, over windows of at least 512 samples, of which the latest are the frame's."""
    bands = panned(6, 0.5, 4 * RATE)
    latents, window = ImageAnalysis(BANDS, rate, delay=0)(bands)[0], max(rate, 128)
    for frame in range(latents.shape[1]):
        left, right = bands[0, :, max(0, (frame + 1) * rate - window) : (frame + 1) * rate].chunk(2)
        powers = left.square().sum(), right.square().sum()
        assert float(latents[0, frame]) == pytest.approx(float((powers[1] - powers[0]) / sum(powers)), abs=1e-4)
        assert float(latents[1, frame]) == pytest.approx(1 - 2 * float((left * right).sum() / sum(powers)), abs=1e-4)


@pytest.mark.parametrize(("bands", "place", "width"), [
    (torch.tensor([0.0, 0.0]), 0, 0), (torch.tensor([0.1, 0.1]), 0, 0), (torch.tensor([0.1, 0.0]), -1, 1),
    (torch.tensor([0.0, 0.1]), 1, 1), (torch.tensor([0.1, -0.1]), 0, 2), (torch.tensor([1e-6, 0.0]), 0, 0)])
def test_the_latents_of_the_simplest_images(bands, place, width):
    """Of silence and the very quiet, the same on both sides, left, right, opposite signs."""
    x = bands.repeat_interleave(BANDS)[None, :, None].expand(-1, -1, RATE)
    assert ImageAnalysis(BANDS, RATE, delay=0)(x)[0, :, 0].tolist() == pytest.approx([place, width], abs=1e-2)


@pytest.mark.parametrize(("db", "common"), [(0, 1), (9, 1), (-6, 0.6), (3, 0), (0, 0.3)])
def test_a_middle_is_spread_as_the_latents_say(db, common):
    x = panned(db, common, 64 * RATE)
    middle = x.unflatten(1, (2, -1)).mean(1)
    y = ImageSynthesis(BANDS, RATE, late=0)(middle, ImageAnalysis(BANDS, RATE, delay=0)(x))
    assert torch.allclose(y.unflatten(1, (2, -1)).mean(1), middle, atol=1e-9)  # in one channel it sounds as the network does
    expected, made = (image(sound.view(2, -1)[:, 4000:].numpy()) for sound in (x, y))
    assert made[0] == pytest.approx(expected[0], abs=0.4)
    assert made[1] == pytest.approx(expected[1], abs=0.05)
    assert float(y.square().mean() / x.square().mean()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("place", "width", "side"), [(9.0, -7.0, 1), (-9.0, 1.0, -1), (0.0, 9.0, 0)])
def test_an_image_that_no_sound_has_is_the_nearest(place, width, side):
    """As a player makes one with `bias_1`; and it is not loud."""
    middle, latents = torch.randn(1, BANDS, 8 * RATE), torch.tensor([place, width])[None, :, None].expand(-1, -1, 8)
    left, right = ImageSynthesis(BANDS, RATE, late=0)(middle, latents)[..., RATE:].chunk(2, 1)
    assert max(left.abs().max(), right.abs().max()) < 10 * middle.abs().max()
    assert side * float(right.square().sum().log() - left.square().sum().log()) >= (1 if side else 0)


@torch.no_grad()
@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_the_network_is_that_of_one_channel_and_a_sound_is_played_where_it_is(alignment):
    """Whatever its weights: the mean of both channels is what the model of one makes of theirs, and a sound that differs
    between the sides in level alone does so as it did."""
    stereo, mono = (build(*STEREO[:2], f"model.channels={channels}", f"model.alignment={alignment}").eval()
                    for channels in (2, 1))
    mono.load_state_dict({k: v for k, v in stereo.state_dict().items() if not k.startswith("principal.")}, strict=False)
    for model in (stereo, mono):
        set_noise(model, 0)
        model.decoder.band_gain *= 30
    late = -(-stereo.latency // stereo.hop)
    wide = 0.1 * torch.randn(2, 2, (24 + late) * stereo.hop)
    expected = mono(wide.mean(1, keepdim=True))
    assert expected.abs().max() > 0.01
    assert torch.allclose(stereo(wide).mean(1, keepdim=True), expected, atol=1e-6 + 1e-5 * float(expected.abs().max()))
    gains = torch.tensor([[0.3], [1.0]])
    left, right = stereo(gains * wide[:, :1])[..., (6 + late) * stereo.hop :].unbind(1)
    assert torch.allclose(left, 0.3 * right, atol=2e-3 * float(right.abs().max()))


def test_no_gradient_of_a_stereo_model_reaches_further_back_than_it_says():
    for options in (["model.ratios=[2,2]", "model.dilations=[[1],[1]]"], ["model.alignment=centered"]):
        rave = build(*STEREO, *options).double().eval()
        length = (rave.receptive_field // rave.hop + 3) * rave.hop
        x = torch.randn(1, 2, length, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(rave(x)[0, 0, -1], x)
        earliest = length - 1 - int(gradient[0].abs().sum(0).nonzero()[0])
        assert rave.receptive_field - 2 * rave.hop < earliest <= rave.receptive_field


def test_the_image_is_not_rotated_into_the_principal_directions():
    principal = Principal(3, beside=2)
    frames = torch.randn(5000, 5) @ torch.randn(5, 5) + 1
    principal.fit(frames, frames[:, 3])
    p = principal(frames.T[None])[0].T
    assert torch.allclose(p[:, :2], frames[:, :2], atol=1e-4)  # 0 is the middle
    assert torch.allclose(p.T.cov()[2:, 2:], principal.variance[2:].diag(), atol=1e-2)
    assert principal.variance[2:].diff().max() <= 0
    assert torch.allclose(principal.inverse(p.T[None])[0].T, frames, atol=1e-4)
    principal.fit(frames * torch.tensor([0, 0, 1, 1, 1]), frames[:, 3])  # all in the middle
    assert (principal.variance[:2] > 0).all()


@torch.no_grad()
def test_calibration_moves_the_timbre_and_leaves_the_image():
    model = measured("model.channels=2")
    source = SourceMoments(model)
    p = model.principal(model.encode(panned(-9, 0.5, 32 * model.hop, 1).float()))
    source(p)
    moved = source.move(p, source.settings(torch.ones(1, 1)))
    loud = slice(8, None)
    assert torch.allclose(moved[:, :2, loud], p[:, :2, loud], atol=0.02)
    assert not torch.allclose(moved[:, 2:, loud], p[:, 2:, loud], atol=0.1)


@torch.no_grad()
def test_a_stereo_checkpoint_of_an_earlier_version_plays_as_it_did(tmp_path):
    """Its network has the bands of both channels, and nothing in the file says so."""
    old = build(*STEREO, "model.stereo=bands").eval()
    config = {k: v for k, v in old.config.items() if k != "stereo"}
    state = {f"model.{name}": value for name, value in old.state_dict().items()}
    torch.save({"model": config, "state_dict": state, "step": 1}, tmp_path / "old.ckpt")
    model = RAVE.from_checkpoint(read_checkpoint(tmp_path / "old.ckpt"))
    assert (model.config["stereo"], model.latent_size) == ("bands", 16)
    assert model.encoder.first.in_channels == 32
    x = 0.1 * torch.randn(1, 2, 12 * old.hop)
    for part in (old, model):
        set_noise(part, 0)
    assert torch.equal(model(x), old(x))


def test_another_kind_of_stereo_is_refused():
    config = build(*STEREO).config
    with pytest.raises(InputError, match=r"model\.stereo: 'wide' is none of parametric, bands"):
        RAVE(**config | {"stereo": "wide"})
