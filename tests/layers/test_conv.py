"""Convolutions against torch's own, and their delays against impulses."""

import pytest
import torch
import torch.nn.functional as F

from rave_lite.layers import Conv1d, ConvTranspose1d, ResidualUnit


def test_transposed_convolution_is_torchs():
    layer = ConvTranspose1d(3, 5, 4).double()
    x = torch.randn(2, 3, 20, dtype=torch.float64)
    reference = F.conv_transpose1d(F.pad(x, (1, 0)), layer.weight, stride=4)[..., 4:-4]
    assert torch.allclose(layer(x), reference, atol=1e-14)


def test_convolution_is_torchs_on_a_padded_signal():
    layer = Conv1d(3, 5, 3, dilation=4).double()
    x = torch.randn(2, 3, 20, dtype=torch.float64)
    assert torch.allclose(layer(x), F.conv1d(F.pad(x, (8, 0)), layer.weight, dilation=4), atol=1e-14)


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
    layer = with_tap(Conv1d(1, 1, kernel, dilation=dilation, centered=centered, delay=11), tap)
    assert impulse_delay(layer, 40) - 40 == layer.delay - 11


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("delay", range(9))
@pytest.mark.parametrize("stride", [2, 4])
def test_strided_delay_is_whole_output_frames(stride, delay, centered):
    """A sample at frame n's nominal start, `delay` late at the input, comes out at frame n + layer.delay."""
    tap = stride // 2 if centered else stride
    layer = with_tap(Conv1d(1, 1, 2 * stride, stride=stride, centered=centered, delay=delay), tap)
    frame = 7
    assert impulse_delay(layer, frame * stride + delay) == frame + layer.delay


@pytest.mark.parametrize("centered", [False, True])
def test_transposed_delay(centered):
    tap = 2 if centered else 0
    layer = with_tap(ConvTranspose1d(1, 1, 4, centered=centered, delay=3), tap)
    frame = 7
    assert impulse_delay(layer, frame + 3) == frame * 4 + layer.delay


def test_residual_skip_waits_for_the_branch():
    unit = ResidualUnit(1, dilation=9, centered=True, delay=2)
    with torch.no_grad():
        unit.branch[3].weight = torch.zeros(1, 1, 1) + 1e-12
    assert impulse_delay(unit, 50) - 50 == unit.delay - 2 == 9
