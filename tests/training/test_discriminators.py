"""The discriminators: their size, their layers against plain ones, and what every kind must do in a run."""

import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate

from rave_lite import InputError
from rave_lite.training.discriminators import Discriminator, SpectrogramDiscriminator, SpectrogramStack
from tests.conftest import configured
from tests.operations import count_operations
from tests.runs import audio, training

KINDS = {"multi": ["discriminator.capacity=2"], "stft": ["discriminator.channels=[2,3,4,4,4]"],
         "dac": ["discriminator.parts.multi.capacity=2", "discriminator.parts.bands.channels=[2,2,2,2,2]"],
         "multi_stft": ["discriminator.parts.multi.capacity=2", "discriminator.parts.stft.channels=[2,2,2,2,2]"]}


def settings(kind: str, *overrides: str) -> list[str]:
    return [f"discriminator={kind}", *KINDS[kind], *overrides]


def made(kind: str, *overrides: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return instantiate(configured("train", *settings(kind, *overrides)).discriminator)


def test_sizes_are_the_public_releases():
    for model, count in (("v2", 27_130_952), ("v2_small", 6_791_720)):
        discriminator = instantiate(configured("train", f"model={model}").discriminator)
        assert sum(p.numel() for p in discriminator.parameters()) == count


def test_periods_are_two_dimensional_convolutions():
    discriminator = Discriminator(capacity=4, periods=[3], scales=0).double()
    x = torch.randn(2, 1, 500, dtype=torch.float64)
    y = F.pad(x, (0, 1)).view(2, 1, 167, 3)
    outputs = []
    for conv in discriminator.by_period[0].convs:
        y = F.conv2d(y, conv.weight.unsqueeze(3), conv.bias, stride=(4, 1), padding=(2, 0))
        outputs.append(y.permute(0, 3, 1, 2).flatten(0, 1))
        y = F.leaky_relu(y, 0.2)
    features = discriminator(x)[0][:-1]
    for feature, output in zip(features, outputs[1:], strict=True):
        assert torch.allclose(feature, output, atol=1e-12)


def test_scales_listen_to_pooled_signals():
    discriminator = Discriminator(capacity=2, periods=[], scales=3)
    x = torch.randn(1, 1, 1024)
    assert [stack[0].shape[-1] for stack in discriminator(x)] == [64, 32, 16]
    assert torch.allclose(discriminator(x)[2][0], discriminator.by_scale[2](x.unflatten(2, (-1, 4)).mean(3))[0], atol=1e-6)


@pytest.mark.parametrize("bands", [[0, 1], [0, 0.25, 0.75]])
def test_spectrograms_are_complex_stfts_in_bands(bands):
    stack = SpectrogramStack(64, [3, 4, 5, 6, 7], [1, 2, 4], bands).double()
    x = torch.randn(2, 1, 500, dtype=torch.float64)
    window = torch.hann_window(64, dtype=torch.float64)
    spectra = torch.stft(x[:, 0], 64, 16, window=window / window.norm(), pad_mode="constant", return_complex=True)
    whole = torch.stack([spectra.real, spectra.imag], 1).transpose(2, 3)
    assert torch.allclose(stack.spectrogram(x), whole, atol=1e-6)  # the window was made in float32
    expected, last = [], []
    for y, convs in zip(stack.spectrogram(x).tensor_split([int(b * 33) for b in bands[1:]], 3), stack.bands, strict=False):
        for layer, conv in enumerate(convs):
            dilation = (1, 1, 2, 4, 1)[layer]
            pad, stride = (dilation, conv.kernel_size[1] // 2), (1, 1 if layer in (0, 4) else 2)
            y = F.conv2d(F.leaky_relu(y, 0.2) if layer else y, conv.weight, conv.bias, stride, pad, (dilation, 1))
            expected += [y] * (layer > 0)
        last.append(y)
    expected.append(F.conv2d(F.leaky_relu(torch.cat(last, 3), 0.2), stack.head.weight, stack.head.bias, padding=1))
    for feature, output in zip(stack(x), expected, strict=True):
        assert torch.allclose(feature, output, atol=1e-12)


def test_full_scale_noise_has_a_spectrogram_near_1():
    stack, x = SpectrogramStack(256, [1, 1], [], [0, 1]), torch.randn(4, 1, 8192)
    assert float(stack.spectrogram(x).square().sum(1).mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_judges_each_item_alone_and_counts_its_scores(kind):
    discriminator, x = made(kind).double(), audio(2, 4000).double()
    both = discriminator(x)
    assert len(both) == discriminator.count
    for whole, *items in zip(both, *map(discriminator, x.split(1)), strict=True):
        assert whole[-1].shape[1] == 1
        for feature, *parts in zip(whole, *items, strict=True):
            assert torch.allclose(feature, torch.cat(parts), atol=1e-12)
    assert discriminator.state_dict().keys() == dict(discriminator.named_parameters()).keys()


@pytest.mark.parametrize("kind", KINDS)
def test_no_feature_is_a_linear_filter_of_the_waveform(kind):
    """Of a signal and its negative: with no activation before it, a feature's mean would be that of silence."""
    discriminator, x = made(kind), 10 * audio(1, 4000)
    silent, plus, minus = (discriminator(signal) for signal in (0 * x, x, -x))
    for features in zip(silent, plus, minus, strict=True):
        for zero, a, b in zip(*features, strict=True):
            assert (a + b - 2 * zero).norm() > 1e-2 * (a - zero).norm()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quiet", [0.0, 10 ** (-90 / 20)])
def test_silence_is_not_blown_up(kind, quiet):
    """What a quiet window changes is as small as it is; its gradients are no larger than a loud one's."""
    discriminator, noise = made(kind), 10 * audio(1, 8192)
    slopes, features = {}, {}
    for level in (0.0, quiet, 0.1):
        x = (level * noise).requires_grad_()
        features[level] = [feature for stack in discriminator(x) for feature in stack]
        slopes[level], = torch.autograd.grad(sum(feature.square().mean() for feature in features[level]), x)
        assert all(feature.isfinite().all() and feature.abs().max() < 3 for feature in features[level])
        assert slopes[level].isfinite().all()
    for silent, a, loud in zip(features[0.0], features[quiet], features[0.1], strict=True):
        assert (a - silent).norm() <= 2e-2 * quiet / 1e-3 * (loud - silent).norm()
    assert slopes[quiet].norm() < 2 * slopes[0.1].norm()


# in bands of smaller spectra a convolution would be two bins wide, of which oneDNN (torch 2.11) makes NaN on CPUs with AMX
@pytest.mark.parametrize(("step", "kind"), [(12, ["dac", "discriminator.parts.bands.n_fft=[512,256]"]),
                                            (13, ["multi_stft", "discriminator.parts.stft.n_fft=[128]"])])
def test_spectrograms_learn_the_same_in_micro_batches_also_in_bfloat16_and_never_wait(kind, step):
    results, x = [], audio(2, 4096)
    for overrides in ([], ["runner.micro_batch=1"], ["runner.precision=bf16-mixed"]):
        module = training(*settings(*kind), *overrides).to(torch.float32 if "bf16" in str(overrides) else torch.float64)
        module.step = step
        optimizers = module.configure_optimizers()
        counts = count_operations(lambda: results.append(module.update_step(x.to(module.dtype), *optimizers)))  # noqa: B023
        assert "_local_scalar_dense" not in counts
        results[-1] |= {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    whole, parts, half = results
    for name, value in whole.items():
        assert (value - parts[name]).norm() <= 1e-10 * value.norm() + 1e-15, name
        assert half[name].isfinite().all(), name
        assert half[name].dtype == torch.float32


def test_layers_that_do_not_match_are_refused():
    with pytest.raises(InputError, match=r"discriminator\.channels: 3 channels for 2 dilations"):
        SpectrogramDiscriminator(n_fft=[64], channels=[1, 2, 3], dilations=[1, 2], bands=[0, 1])
