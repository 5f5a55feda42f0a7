"""Snake against its formula, in value, gradient and precision, and the weights that start before it."""

import pytest
import torch

from rave_lite.layers import SLOPES, Conv1d, ConvTranspose1d, Snake, make_activation

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def formula(x: torch.Tensor, log_alpha: torch.Tensor) -> torch.Tensor:
    alpha = log_alpha.exp()[:, None]
    return x + torch.sin(alpha * x) ** 2 / alpha


def case(dtype: torch.dtype = torch.float64) -> tuple[Snake, torch.Tensor]:
    snake = Snake(3).to(dtype)
    torch.nn.init.normal_(snake.log_alpha)
    return snake, torch.randn(2, 3, 7, dtype=dtype, requires_grad=True)


def test_it_is_its_formula_and_so_are_its_gradients():
    snake, x = case()
    inputs, above = [x, snake.log_alpha], torch.randn(2, 3, 7, dtype=x.dtype)
    assert torch.allclose(snake(x), formula(*inputs), rtol=0, atol=1e-14)
    assert torch.allclose(torch.jit.script(snake)(x), formula(*inputs), rtol=0, atol=1e-14)
    for a, b in zip(torch.autograd.grad(snake(x), inputs, above), torch.autograd.grad(formula(*inputs), inputs, above),
                    strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-13)
    assert torch.autograd.gradcheck(lambda x, _: snake(x), inputs)


@pytest.mark.parametrize("log_alpha", [-40.0, 40.0])
def test_no_frequency_divides_by_zero(log_alpha):
    """A very slow or a very fast Snake is the identity."""
    snake, x = case(torch.float32)
    torch.nn.init.constant_(snake.log_alpha, log_alpha)
    y = snake(x)
    gradients = torch.autograd.grad(y.sum(), [x, snake.log_alpha])
    assert torch.allclose(y, x, atol=1e-6)
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_its_sine_is_computed_in_float32(dtype, device):
    """From rounded input on, only the results are rounded: large arguments keep their phase."""
    snake = case(torch.float32)[0].to(device)
    x = (30 * torch.randn(2, 3, 400, device=device)).to(dtype).requires_grad_()
    above = torch.randn(2, 3, 400, device=device).to(dtype)
    exact = x.detach().double().requires_grad_()
    expected = formula(exact, snake.log_alpha.double())
    with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = snake(x)
    assert y.dtype == dtype
    rounding = torch.finfo(dtype).eps
    assert torch.allclose(y.double(), expected, rtol=rounding, atol=1e-6)
    by_x, by_log_alpha = torch.autograd.grad(y, [x, snake.log_alpha], above)
    expected_by_x, = torch.autograd.grad(expected, exact, above.double(), retain_graph=True)
    expected_by_log_alpha, = torch.autograd.grad(expected, snake.log_alpha, above.double())
    assert torch.allclose(by_x.double(), expected_by_x, rtol=rounding, atol=1e-3)
    assert (by_log_alpha - expected_by_log_alpha).norm() <= 10 * rounding * 30 * 800**0.5


def test_training_keeps_its_input_and_its_output_alone():
    snake, x = case()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()), lambda _: None):
        snake(x)
    assert sorted(kept) == [3, x.numel(), x.numel()]


@pytest.mark.parametrize("kind", SLOPES)
@pytest.mark.parametrize("make", [lambda kind: Conv1d(64, 256, 3, activation=kind),
                                  lambda kind: ConvTranspose1d(64, 256, 4, activation=kind)])
def test_initial_weights_keep_the_power_of_noise(make, kind):
    """After the activation: unit Gaussian noise comes out of the next layer with unit power."""
    y = make(kind)(make_activation(kind, 64)(torch.randn(4, 64, 512))).detach()
    assert float(y[..., 8:].square().mean()) == pytest.approx(1, rel=0.1)
