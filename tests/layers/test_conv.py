"""Convolutions against torch's own, and their delays against impulses."""

from contextlib import nullcontext
from itertools import chain

import pytest
import torch
import torch.nn.functional as F

from rave_lite.layers import Conv1d, ConvTranspose1d, ResidualUnit, fold_weight_norm, weight_norm
from rave_lite.layers.conv import REFERENCE_FAN_IN, LongConv

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def assert_same(output, expected, inputs: list[torch.Tensor]) -> None:
    """Compare two outputs and their gradients with respect to `inputs`, to float64's precision."""
    assert torch.allclose(output, expected, rtol=0, atol=1e-12)
    above = torch.randn_like(expected)
    for a, b in zip(torch.autograd.grad(output, inputs, above), torch.autograd.grad(expected, inputs, above), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)


def signal(*shape: int, device: str = "cpu") -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, device=device, requires_grad=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_transposed_convolution_is_torchs(stride, device):
    layer, x = ConvTranspose1d(3, 5, stride).double().to(device), signal(2, 3, 20, device=device)
    spread = F.pad(x, (1, 0)).unsqueeze(3) * torch.eye(stride, dtype=x.dtype, device=device)[0]  # zeros between the frames
    spread = F.pad(spread.flatten(2), (stride - 1, 0))
    expected = F.conv1d(spread, layer.weight.transpose(0, 1).flip(2))
    assert_same(layer(x), expected[..., : 20 * stride], [x, *layer.parameters()])


@pytest.mark.parametrize(("kernel", "dilation", "stride"), [(3, 4, 1), (1, 1, 1), (8, 1, 4)])
def test_convolution_is_torchs_on_a_padded_signal(kernel, dilation, stride):
    layer, x = Conv1d(3, 5, kernel, dilation=dilation, stride=stride).double(), signal(2, 3, 20)
    padded = F.pad(x, ((kernel - 1) * dilation + 1 - stride, 0))
    expected = F.conv1d(padded, layer.weight, dilation=dilation, stride=stride)
    assert_same(layer(x), expected, [x, *layer.parameters()])


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 9), (7, 2)])
def test_a_long_convolution_is_torchs(kernel, dilation):
    x, weight = signal(2, 3, 40), signal(4, 3, kernel)
    assert_same(LongConv.apply(x, weight, dilation), F.conv1d(x, weight, dilation=dilation), [x, weight])


@pytest.mark.parametrize("networks", [1, 2])
def test_folded_weights_are_those_of_the_layers_and_so_are_their_gradients(networks):
    torch.manual_seed(0)
    layers = [torch.nn.Sequential(Conv1d(4, 6, 3), ConvTranspose1d(6, 6, 2), Conv1d(6, 2, 3), Conv1d(2, 2, 1, norm=False))
              for _ in range(networks)]
    results = []
    for folds in (False, True):
        with fold_weight_norm(layers) if folds else nullcontext():
            weights = [layer.weight for stack in layers for layer in stack]
        parameters = [p for stack in layers for p in stack.parameters()]
        results.append((weights, torch.autograd.grad(sum((w**3).sum() for w in weights), parameters)))
    for plain, folded in zip(*(chain(*r) for r in results), strict=True):
        assert torch.allclose(plain, folded, rtol=1e-5)
    assert all(layer.parametrizations.weight[0].folded is None for stack in layers for layer in stack[:3])


@pytest.mark.parametrize("centered", [False, True])
def test_residual_unit_by_its_formula(centered):
    """In-place operations change neither its input nor a gradient."""
    unit, x = ResidualUnit(3, dilation=2, alignment="centered" if centered else "causal").double(), signal(2, 3, 20)
    before = x.detach().clone()
    output = unit(x)
    assert torch.equal(x, before)
    hidden = F.conv1d(F.pad(F.leaky_relu(x, 0.2), (4, 0)), unit.branch[1].weight, dilation=2)
    skip = F.pad(x, (unit.delay, 0))[..., :20]
    assert_same(output, skip + F.conv1d(F.leaky_relu(hidden, 0.2), unit.branch[3].weight), [x, *unit.parameters()])


@pytest.mark.parametrize("make", [lambda: Conv1d(32, 16, 3, dilation=3), lambda: ConvTranspose1d(32, 16, 4),
                                  lambda: ResidualUnit(32, dilation=3)])
def test_bfloat16_rounds_and_no_more(make):
    layer, x = make(), torch.randn(2, 32, 64, requires_grad=True)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x)
    assert output.dtype == torch.bfloat16
    above, inputs = torch.randn_like(expected), [x, *layer.parameters()]
    assert (output - expected).norm() <= 0.01 * expected.norm()
    for a, b in zip(torch.autograd.grad(output, inputs, above.to(output.dtype)),
                    torch.autograd.grad(expected, inputs, above), strict=True):
        assert (a - b).norm() <= 0.1 * b.norm()  # values rounded across the activation's kink change its slope


def impulse_delay(layer: torch.nn.Module, at: int, length: int = 240) -> int:
    """Where the response to an impulse at input sample `at` peaks."""
    x = torch.zeros(1, 1, length)
    x[..., at] = 1
    return int(layer(x).abs().argmax())


def with_tap(layer, tap: int):
    with torch.no_grad():
        weight = torch.zeros_like(layer.weight)
        weight[0, 0, tap] = 1
        layer.weight = weight
    return layer


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize(("kernel", "dilation"), [(7, 1), (3, 9), (1, 1), (3, 1)])
def test_delay_is_where_the_nominal_tap_lands(kernel, dilation, centered):
    tap = (kernel - 1) // 2 if centered else kernel - 1
    layer = with_tap(Conv1d(1, 1, kernel, dilation=dilation, alignment="centered" if centered else "causal", delay=11), tap)
    assert impulse_delay(layer, 40) - 40 == layer.delay - 11


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("delay", range(9))
@pytest.mark.parametrize("stride", [2, 4])
def test_strided_delay_is_whole_output_frames(stride, delay, centered):
    """A sample at frame n's nominal start, `delay` late at the input, comes out at frame n + layer.delay."""
    tap, alignment = (stride // 2, "centered") if centered else (stride, "causal")
    layer = with_tap(Conv1d(1, 1, 2 * stride, stride=stride, alignment=alignment, delay=delay), tap)
    frame = 7
    assert impulse_delay(layer, frame * stride + delay) == frame + layer.delay


@pytest.mark.parametrize("centered", [False, True])
def test_transposed_delay(centered):
    tap = 2 if centered else 0
    layer = with_tap(ConvTranspose1d(1, 1, 4, alignment="centered" if centered else "causal", delay=3), tap)
    frame = 7
    assert impulse_delay(layer, frame + 3) == frame * 4 + layer.delay


def test_residual_skip_waits_for_the_branch():
    unit = ResidualUnit(1, dilation=9, alignment="centered", delay=2)
    with torch.no_grad():
        unit.branch[3].weight = torch.zeros(1, 1, 1) + 1e-12
    assert impulse_delay(unit, 50) - 50 == unit.delay - 2 == 9


@pytest.mark.parametrize("make", [lambda n: Conv1d(n, n, 3), lambda n: Conv1d(n, 2 * n, 8, stride=4),
                                  lambda n: ConvTranspose1d(n, n // 2, 4), lambda n: weight_norm(torch.nn.Conv1d(n, n, 5))])
def test_an_adam_step_moves_the_output_equally_far_at_any_width(make):
    """The output after one step relative to the output before, at 16 and at 256 channels: with torch's own weight norm the
    wide layer moves some sixteen times as far."""
    moved = []
    for width in (16, 256):
        torch.manual_seed(0)
        layer, x = make(width), torch.randn(1, width, 8)
        before = layer(x).detach()
        optimizer = torch.optim.Adam([layer.parametrizations.weight.original1], 1e-4)
        (layer(x) * torch.randn_like(before)).sum().backward()
        optimizer.step()
        moved.append(float((layer(x).detach() - before).norm() / before.norm()))
    narrow, wide = moved
    assert 0.8 < wide / narrow < 1.25


@pytest.mark.parametrize("layer", [Conv1d(48, 8, 3), ConvTranspose1d(48, 8, 4), weight_norm(torch.nn.Conv1d(3, 8, 5))])
def test_an_assigned_weight_is_kept_and_its_direction_as_long_as_its_fan_in_says(layer):
    weight = torch.randn_like(layer.weight)
    with torch.no_grad():
        layer.weight = weight
    assert torch.allclose(layer.weight, weight, atol=1e-6)
    ratio = layer.parametrizations.weight.original1 / weight
    assert torch.allclose(ratio, torch.full_like(ratio, layer.parametrizations.weight[0].fan_in / REFERENCE_FAN_IN))
