"""The whole model: its size, its contract, its latency and its reach, for every configuration."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from rave_lite import InputError, set_noise, stream
from rave_lite.layers import Conv1d, ConvTranspose1d, NoiseSynth, ResidualUnit
from rave_lite.model import RAVE, load_matching
from tests.conftest import build
from tests.models import with_norms, with_snakes, with_statistics
from tests.streaming import assert_streams

MODELS = ["v2", "v2_small", "tiny", "low_latency", "v1", "brave"]
LATENTS = ["wasserstein", "variational"]
SMALL = "model.capacity=6"  # the architecture is the same; the tests are quick


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("model", "latent", "encoder", "decoder"), [
    ("v2", "wasserstein", 14_950_768, 15_552_800), ("v2", "variational", 16_056_928, 15_479_072),
    ("v2_small", "wasserstein", 3_392_704, 3_853_472), ("v2_small", "variational", 3_945_904, 3_816_608),
    ("v1", "variational", 4_834_176, 12_778_193), ("brave", "variational", 940_480, 3_250_961),
    ("v1 model.capacity=32 model.noise=null", "variational", 1_374_656, 3_417_969),
    ("v1 model.capacity=16 model.noise=null", "variational", 426_720, 971_201)])
def test_parameter_counts_are_the_public_releases(model, latent, encoder, decoder):
    """The last two are its `onnx` and `raspberry`."""
    rave = build(*f"model={model}".split(), f"latent={latent}")
    assert (size(rave.encoder), size(rave.decoder)) == (encoder, decoder)


def test_tiny_is_about_a_million():
    assert 0.5e6 < size(build("model=tiny")) < 1.5e6


@pytest.mark.sampled(8)
@pytest.mark.parametrize("alignment", ["causal", "centered"])
@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_streams(model, latent, alignment, tmp_path):
    rave = with_statistics(build(f"model={model}", f"latent={latent}", f"model.alignment={alignment}", SMALL))
    assert_streams(rave, hop=rave.hop, frames=20 + rave.latency // rave.hop, folder=tmp_path)


@pytest.mark.parametrize(("alignment", "activation"), [
    ("causal", "snake"), pytest.param("centered", "snake", marks=pytest.mark.slow), ("causal", "snake_between")])
def test_a_model_of_snakes_streams(alignment, activation, tmp_path):
    rave = with_snakes(build("model=tiny", "model.capacity=4", f"model.activation={activation}",
                             f"model.alignment={alignment}", "model.noise={ratios: [2, 2], hidden: 4, filter_bands: 8}"))
    rave.decoder.band_gain *= 10
    units = [part for part in rave.modules() if isinstance(part, ResidualUnit)]
    assert all(isinstance(unit.branch[0], nn.LeakyReLU) == (activation == "snake_between") for unit in units)
    assert not isinstance(rave.encoder.activation, nn.LeakyReLU)
    assert_streams(rave, hop=rave.hop, frames=12, folder=tmp_path)


@pytest.mark.parametrize("options", [
    ["model=tiny", "model.alignment=centered", "model.noise={ratios: [2, 2], hidden: 4, filter_bands: 8}"],
    ["model=v1", "latent=variational"], ["model=low_latency"], ["model=tiny", "model.stereo=bands"]])
def test_a_stereo_model_streams(options, tmp_path):
    rave = with_statistics(build(*options, "model.channels=2", SMALL))
    assert_streams(rave, hop=rave.hop, channels=2, frames=20 + rave.latency // rave.hop, folder=tmp_path)


@torch.no_grad()
def test_a_stereo_model_plays_each_channel_where_it_is():
    """Both channels' bands, carried whole from end to end, come back as left and right, `latency` later."""
    rave = build("model=tiny", "model.channels=2", "model.stereo=bands", "model.ratios=[2,2]", "model.dilations=[[1],[1]]",
                 "model.capacity=32", "latent.noise_channels=0", "latent.size=128").eval()
    set_noise(passthrough(rave, 32), 0)
    x = torch.zeros(1, 2, 32 * rave.hop)
    x[0, 0, 5 * rave.hop + 77], x[0, 1, 5 * rave.hop + 9] = 0.01, -0.02
    y = 2 * rave(x)[..., rave.latency :]  # the amplitude is a half
    assert torch.allclose(y, x[..., : y.shape[-1]], atol=1e-4)


@torch.no_grad()
def test_adaptive_norms_stream_and_are_the_identity_without_statistics(tmp_path):
    """They are where the release has them: before each residual unit of encoder and decoder."""
    rave = with_snakes(build("model=v3", "latent=variational", "model.capacity=4", "model.ratios=[4,4,2,2]"))
    state = {k: v for k, v in rave.state_dict().items() if ".norm." not in k}
    plain = RAVE(**rave.config | {"adaptive_norm": False}).eval()
    load_matching(plain, state, "v3")
    assert len(rave.state_dict()) == len(state) + 3 * 22
    x = 0.1 * torch.randn(1, 1, 12 * rave.hop)
    assert torch.equal(rave.eval()(x), plain(x))
    assert not torch.allclose(with_norms(rave)(x), plain(x), atol=1e-2)
    rave.decoder.band_gain *= 0.1
    assert_streams(rave, hop=rave.hop, frames=12, folder=tmp_path)


@torch.no_grad()
def test_the_bands_have_room_for_full_scale():
    """Of the loudest sounds, the bands stay below the limit; 1, the limit of earlier versions, would take 4 dB from them."""
    rave = build("model=v2", SMALL)
    time = torch.arange(1 << 14) / 44100
    click = torch.zeros(1 << 14)
    click[5000] = 1
    for sound in (torch.sin(2 * torch.pi * 100 * time), torch.sin(2 * torch.pi * 100 * time).sign(), click):
        bands = rave.pqmf(sound[None, None])
        assert bands.abs().max() < 0.85 * rave.decoder.limit
    sine = rave.pqmf(torch.sin(2 * torch.pi * 100 * time)[None, None])
    assert rave.pqmf.inverse(sine.clamp(-1, 1)).square().mean() < 0.4 * rave.pqmf.inverse(sine).square().mean()
    rave.decoder.band_gain *= 1e6
    assert rave.decoder(torch.randn(1, rave.latent.decoder_channels, 20)).abs().max() == pytest.approx(rave.decoder.limit)


def passthrough(rave: RAVE, bands: int) -> RAVE:
    """Weights that carry `bands` bands unchanged from end to end: strided layers stack samples into channels, transposed
    ones lay them out again, residual branches and activations do nothing, the amplitude is constant."""
    centered = rave.config["alignment"] == "centered"
    for part in rave.modules():
        for name, child in list(part.named_children()):
            if isinstance(child, nn.LeakyReLU):
                setattr(part, name, nn.Identity())
    silenced = {conv for unit in rave.modules() if isinstance(unit, ResidualUnit | NoiseSynth) for conv in unit.modules()}
    silenced.add(getattr(rave.decoder, "loudness", None))
    carried = bands
    for conv in rave.modules():
        if not isinstance(conv, Conv1d | ConvTranspose1d):
            continue
        weight = torch.zeros_like(conv.weight)
        if isinstance(conv, ConvTranspose1d):
            carried //= conv.ratio
            for c in range(carried * conv.ratio):
                weight[c, c % carried, c // carried + (conv.ratio // 2 if centered else 0)] = 1
        elif conv.stride[0] > 1 and conv not in silenced:
            ratio, before = conv.stride[0], conv.kernel_size[0] - conv.stride[0]
            for c in range(carried * ratio):
                weight[c, c % carried, c // carried + before - (before // 2 if centered else 0)] = 1
            carried *= ratio
        elif conv not in silenced:
            tap = (conv.kernel_size[0] - 1) // 2 if centered else conv.kernel_size[0] - 1
            for c in range(min(carried, conv.out_channels)):
                weight[c, c, tap] = 1
        if parametrize.is_parametrized(conv):
            parametrize.remove_parametrizations(conv, "weight")
        conv.weight = nn.Parameter(weight)
    return rave


@pytest.mark.parametrize("alignment", ["causal", "centered"])
@pytest.mark.parametrize("model", MODELS)
@torch.no_grad()
def test_latency_is_the_impulses_delay(model, alignment):
    """Built as configured, but wide enough to carry 12 bands whole: an impulse then comes out `latency` later."""
    bands = 12
    probe = build(f"model={model}", SMALL)
    wide = bands * max(probe.hop // 16 // 2 ** len(probe.config["ratios"]), 4)
    latents = bands * probe.hop // 16
    rave = build(f"model={model}", f"model.alignment={alignment}", f"model.capacity={wide}", "latent.noise_channels=0",
                 f"latent.size={latents}", *["model.encoder.groups=1"] * ("groups" in probe.config["encoder"])).eval()
    set_noise(passthrough(rave, bands), 0)
    for at in (5 * rave.hop, 5 * rave.hop + 77, 6 * rave.hop - 1):
        x = torch.zeros(1, 1, ((at + rave.latency) // rave.hop + 2) * rave.hop)
        x[..., at] = 0.01
        assert int(rave(x).abs().argmax()) - at == rave.latency


@pytest.mark.parametrize("alignment", ["causal", "centered"])
@pytest.mark.parametrize("model", MODELS)
def test_receptive_field_is_the_gradients(model, alignment):
    """No gradient, also through the noise, reaches further back than `receptive_field`, and some almost as far."""
    rave = build(f"model={model}", f"model.alignment={alignment}", SMALL).double().eval()
    length = (rave.receptive_field // rave.hop + 3) * rave.hop
    x = torch.randn(1, 1, length, dtype=torch.float64, requires_grad=True)
    earliest = []
    y = rave(x)
    for at in (length - 1, length - rave.hop):
        (gradient,) = torch.autograd.grad(y[0, 0, at], x, retain_graph=True)
        earliest.append(at - int(gradient[0, 0].nonzero()[0]))
    assert max(earliest) <= rave.receptive_field
    assert max(earliest) > rave.receptive_field - rave.hop


def test_reconstruct_takes_any_length_and_removes_the_latency():
    rave = build("model=tiny", SMALL, "model.alignment=centered")
    set_noise(rave, 0)
    x = torch.randn(2, 1, 5 * rave.hop + 123)
    with torch.no_grad():
        reconstruction = rave.reconstruct(x)
        longer = rave(torch.nn.functional.pad(x, (0, -x.shape[-1] % rave.hop + 40 * rave.hop)))
    assert reconstruction.shape == x.shape
    assert torch.allclose(reconstruction, longer[..., rave.latency : rave.latency + x.shape[-1]], atol=1e-6)


def test_wrong_architectures_are_named():
    rave = build("model=tiny")
    with pytest.raises(InputError, match=r"x\.ckpt: another architecture: encoder\S+ is \(.*\) there and \(.*\) here"):
        load_matching(build("model=tiny", "model.capacity=8"), rave.state_dict(), "x.ckpt")
    with pytest.raises(InputError, match="has no"):
        load_matching(rave, {}, "x.ckpt")
    with pytest.raises(InputError, match="no place here"):
        load_matching(rave, {**rave.state_dict(), "more": torch.zeros(1)}, "x.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 nor this"])
def test_files_that_are_no_checkpoint(tmp_path, content):
    path = tmp_path / "x.ckpt"
    with pytest.raises(InputError, match="no such checkpoint"):
        RAVE.from_checkpoint(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.ckpt: not a checkpoint"):
        RAVE.from_checkpoint(path)
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="not a rave_lite checkpoint"):
        RAVE.from_checkpoint(path)


def test_inconsistent_model_settings():
    with pytest.raises(Exception, match="alignment"):
        build("model.alignment=sideways")
    with pytest.raises(Exception, match="none of leaky_relu, snake"):
        build("model.activation=relu")
    with pytest.raises(Exception, match="dilations"):
        build("model.ratios=[4,4]")


@pytest.mark.gpu
def test_streams_on_cuda():
    rave = build("model=tiny", SMALL).cuda()
    set_noise(rave, 0)
    x = torch.randn(2, 1, 12 * rave.hop, device="cuda")
    with torch.no_grad():
        live = stream(rave, 2)
        streamed = torch.cat([live(block) for block in x.split(3 * rave.hop, -1)], -1)
        assert torch.allclose(streamed, rave(x), atol=1e-4)
