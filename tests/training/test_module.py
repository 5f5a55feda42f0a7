"""One step of each phase: who learns, who does not, what is averaged and what is aligned."""

import pytest
import torch
from hydra.utils import instantiate

from rave_lite import InputError
from rave_lite.training.window import check_window
from tests.conftest import build, configured
from tests.runs import audio, gradients, training


@pytest.mark.parametrize("extra", [[], ["envelope"]])
def test_phase_1_trains_encoder_and_decoder(extra):
    module = training(*(f"loss.weights.{name}=1" for name in extra))
    losses = module.generator_losses(audio())
    assert losses.keys() == {"linear", "mel", "bands", "penalty", *extra}
    sum(losses.values()).backward()
    assert gradients(module.model.encoder) == gradients(module.model.decoder) == {True}
    assert gradients(module.discriminator) == {False}


@pytest.mark.parametrize("pull", [0, 1])
def test_phase_2_freezes_the_encoder_and_spares_the_discriminators(pull):
    module = training(f"training.pull={pull}")
    module.step = 11
    losses = module.update_step(audio(), *module.configure_optimizers())
    assert losses.keys() - {"pull"} == {"linear", "mel", "bands", "penalty", "adversarial", "feature_matching"}
    assert ("pull" in losses) == bool(pull)
    assert gradients(module.model.encoder) == {False}
    assert gradients(module.model.decoder) == {True}
    assert gradients(module.discriminator) == {False}
    assert all(p.requires_grad for p in module.discriminator.parameters())


@pytest.mark.parametrize("settings", [("model.encoder={name: strided}", "model.decoder={name: loudness}"),
                                      ("latent=discrete", "latent.codebooks=2", "latent.entries=8")])
def test_phase_2_keeps_what_encoder_and_latent_have_gathered(settings):
    """Batch statistics, codebooks and their use change in phase 1 alone; the averaged model has the statistics."""
    module = training(*settings, "training.ema=0.9")
    optimizers = module.configure_optimizers()
    gathered = [lambda: module.model.encoder.state_dict(), lambda: module.model.latent.state_dict()]
    for step, changes in ((0, True), (11, False)):
        module.step = step
        before = [value.clone() for state in gathered for value in state().values()]
        module.update_step(audio(), *optimizers)
        after = [value for state in gathered for value in state().values()]
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) == changes
    for own, averaged in zip(module.model.encoder.buffers(), module.ema.encoder.buffers(), strict=True):
        assert torch.equal(own, averaged)
    assert not module.model.encoder.training
    assert not module.model.latent.training


def test_the_discriminators_step_leaves_the_generator_alone():
    module = training()
    module.step = 12
    module.discriminator_loss(audio()).backward()
    assert gradients(module.model) == {False}
    assert gradients(module.discriminator) == {True}


def test_learning_lowers_each_side():
    """A few plain steps on one batch: the spectral loss falls; the discriminator learns to tell. The rate is a warm-up's."""
    module = training("training.lr=[2e-4,1e-4]")
    generator, discriminator = module.configure_optimizers()
    x = audio()
    first = module.generator_losses(x)["linear"].item()
    for _ in range(15):
        generator.zero_grad()
        loss = module.generator_losses(x)["linear"]
        loss.backward()
        generator.step()
    assert loss.item() < 0.4 * first
    module.step = 12
    first = module.discriminator_loss(x).item()
    for _ in range(10):
        discriminator.zero_grad()
        loss = module.discriminator_loss(x)
        loss.backward()
        discriminator.step()
    assert loss.item() < first


@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_reference_is_delayed_by_the_latency_and_the_start_dropped(alignment):
    module = training(f"model.alignment={alignment}")
    model = module.model
    for delay, signal in ((model.latency, torch.arange(65536.0).view(1, 1, -1)),
                          (model.decoder.delay, torch.arange(4096.0).repeat(1, 16, 1))):
        reference, output = module.aligned(signal, signal, delay)
        skip = signal.shape[-1] - output.shape[-1]
        assert skip == min(model.receptive_field // signal.shape[1], signal.shape[-1] // 4)
        kept = reference > 0
        assert torch.equal(output[kept] - reference[kept], torch.full_like(output[kept], float(delay)))
    signal = torch.arange(1, 4097.0).repeat(1, 16, 1)
    reference, output = module.aligned(signal, signal, -25)  # as an imported model may have it: the output is early
    assert reference.shape == output.shape
    assert torch.equal(reference - output, torch.full_like(output, 25.0))
    assert reference[0, 0, -1] == 4096


def test_learning_rate_rises_at_first_and_falls_over_phase_1():
    module = training("training.lr=[1e-3,1e-4]", "training.warmup=4")
    rates = []
    for module.step in (0, 1, 5, 10, 15):
        rates.append(module.generator_lr())
    assert rates == pytest.approx([2.5e-4, 0.5 * 9.1e-4, 5.5e-4, 1e-4, 1e-4])


def test_penalty_rises_geometrically():
    module = training("latent=variational", "phase1.steps=10")
    weights = []
    for module.step in (0, 10000, 20000, 30000):
        weights.append(module.weight("penalty"))
    assert weights == pytest.approx([1e-6, (1e-6 * 5e-2) ** 0.5, 5e-2, 5e-2])


def test_averages_forget_the_start_and_follow():
    module = training("training.ema=0.9")
    start = [p.clone() for p in module.ema.parameters()]
    with torch.no_grad():
        for p in module.model.parameters():
            p.add_(1)
    for module.step in range(60):
        module._average()
    moved = torch.cat([(e - s).flatten() for e, s in zip(module.ema.parameters(), start, strict=True)])
    assert moved.min() > 0.99
    assert moved.max() <= 1 + 1e-5
    assert module.best_model is module.ema
    without = training("training.ema=null")
    assert without.best_model is without.model


def test_the_step_travels_with_the_weights():
    module, other = training(), training()
    module.step = 12
    other.load_state_dict(module.state_dict())
    assert (other.step, other.phase) == (12, 2)


@pytest.mark.parametrize(("window", "message"), [
    (131072 + 1, "multiple of its hop, 2048.*say 133120"), (2048, "4096 at least.*say 4096"), (0, "say 4096"),
    (2049, "say 4096")])
def test_windows_that_cannot_work(window, message):
    loss = configured("train").loss
    with pytest.raises(InputError, match=message):
        check_window(build("model.capacity=4"), instantiate(loss.distance), instantiate(loss.bands_distance), window)


def test_the_window_said_to_work_works_and_a_short_one_warns():
    module = training("model=v2")
    assert "receptive field" in check_window(module.model, module.distance, module.bands_distance, 4096)
    assert check_window(module.model, module.distance, module.bands_distance, 131072) is None
    module.generator_losses(audio(1, 4096))
