"""How networks are run: micro-batches give the same gradients, bfloat16 stays inside, compiling changes nothing."""

import shutil

import pytest
import torch

from rave_lite import InputError
from rave_lite.layers import ResidualUnit, set_noise
from rave_lite.training.module import RAVETraining
from rave_lite.training.runner import NetworkRunner
from tests.runs import audio, training

STEPS = {"phase 1": 1, "discriminators": 12, "phase 2": 13}


def learned(module: RAVETraining, step: int, x: torch.Tensor) -> tuple[dict[str, float], list[torch.Tensor]]:
    """Losses and gradients of one step."""
    module.step = step
    losses = module.update_step(x, *module.configure_optimizers())
    return ({k: v.item() for k, v in losses.items()}, [p.grad.clone() for p in module.parameters() if p.grad is not None])


@pytest.mark.sampled(8)
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("micro_batch", [1, 2, 3, 9])
@pytest.mark.parametrize("latent", ["wasserstein", "variational"])
def test_micro_batches_give_the_gradients_of_the_whole(step, micro_batch, latent):
    x = audio(4).double()
    expected_losses, expected = learned(training(f"latent={latent}").double(), step, x)
    losses, grads = learned(training(f"latent={latent}", f"runner.micro_batch={micro_batch}").double(), step, x)
    assert losses == pytest.approx(expected_losses, rel=1e-12)
    assert len(grads) == len(expected) > 10
    for a, b in zip(expected, grads, strict=True):
        assert (a - b).norm() <= 1e-12 * a.norm() + 1e-15


def test_micro_batches_of_a_model_with_a_noise_synthesiser():
    x, grads = audio(2).double(), []
    for size in ("null", "1"):
        module = training("model=v2_small", "model.capacity=4", f"runner.micro_batch={size}").double()
        set_noise(module, 0)  # parts draw other noise than the whole
        grads.append(learned(module, 13, x)[1])
    for a, b in zip(*grads, strict=True):
        assert (a - b).norm() <= 1e-12 * a.norm() + 1e-15


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_micro_batches_keep_less(step):
    """Bytes that autograd keeps for the backward pass."""
    kept = {}
    for size in ("null", "1"):
        module, total = training("model.capacity=16", "discriminator.capacity=8", f"runner.micro_batch={size}"), 0
        module.step = step

        def keep(tensor):
            nonlocal total
            total += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            module.discriminator_loss(audio(4)) if step == 12 else module.generator_losses(audio(4))
        kept[size] = total
    assert kept["1"] < 0.6 * kept["null"]


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_bfloat16_stays_in_the_networks(step):
    module, dtypes = training("runner.precision=bf16-mixed"), {}
    networks = {"encoder": module.model.encoder, "decoder": module.model.decoder, "ears": module.discriminator.by_scale[0]}
    for name, part in {**networks, "bank": module.model.pqmf, "distance": module.distance}.items():
        def note(_, inputs, output, name=name):
            tensors = output if name in networks else inputs
            tensors = tensors if isinstance(tensors, list | tuple) else [tensors]
            dtypes.setdefault(name, set()).update(t.dtype for t in tensors)
        part.register_forward_hook(note)
    losses, gradients = learned(module, step, audio(4))
    expected, _ = learned(training(), step, audio(4))
    assert losses == pytest.approx(expected, rel=0.03, abs=0.02)
    assert losses != expected
    for name in dtypes:
        assert dtypes[name] == {torch.bfloat16 if name in networks else torch.float32}, name
    assert {"encoder", "decoder"} <= dtypes.keys()
    assert {g.dtype for g in gradients} == {torch.float32}
    assert all(g.isfinite().all() for g in gradients)


def test_tf32_is_for_networks_and_gradients_only():
    module, allowed = training(), {}

    def flags() -> set[bool]:
        return {torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32}

    def note(name: str) -> None:
        allowed[name] = flags()

    for name in ("encoder", "decoder", "pqmf"):
        getattr(module.model, name).register_forward_hook(lambda *_, name=name: note(name))
    module.distance.register_forward_hook(lambda *_: note("distance"))
    module.model.encoder.first.parametrizations.weight.original1.register_hook(lambda _: note("gradient"))
    before = flags()
    module.update_step(audio(), *module.configure_optimizers())
    assert allowed == {"encoder": {True}, "decoder": {True}, "gradient": {True}, "pqmf": {False}, "distance": {False}}
    assert flags() == before


@pytest.mark.slow
def test_compiled_networks_learn_the_same(monkeypatch):
    """Traced and differentiated as for the compiler, but not handed to it: that takes minutes."""
    whole = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: whole(self, backend="aot_eager"))
    expected_losses, expected = learned(training(), 1, audio(1))
    losses, grads = learned(training("runner.compile=true"), 1, audio(1))
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    assert len(grads) == len(expected)
    for a, b in zip(expected, grads, strict=True):
        assert (a - b).norm() <= 0.01 * a.norm()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_layer_compiled_to_machine_code():
    torch.manual_seed(0)
    layer, x = ResidualUnit(8, dilation=3), torch.randn(2, 8, 64)
    expected = layer(x)
    assert torch.allclose(NetworkRunner(compile=True)(layer, x), expected, atol=1e-6)
    assert layer._compiled_call_impl is not None


def test_settings_that_cannot_be():
    with pytest.raises(InputError, match=r"trainer\.precision: is now called runner\.precision"):
        training("+trainer.precision=16-mixed")
    with pytest.raises(InputError, match=r"runner\.precision: '16-mixed' is none of auto, 32-true, bf16-mixed"):
        NetworkRunner(precision="16-mixed")
    with pytest.raises(InputError, match=r"runner\.micro_batch: 0 is no number of items"):
        NetworkRunner(micro_batch=0)
