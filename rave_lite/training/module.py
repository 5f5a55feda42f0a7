"""The training loop's two phases, as a LightningModule with manual optimisation."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.model import RAVE
from rave_lite.model.checkpoint import header, layer_names, migrate
from rave_lite.training.ada import AdaptiveAugmentation
from rave_lite.training.adversarial import Adversarial, feature_matching
from rave_lite.training.balancer import LossBalancer
from rave_lite.training.encoder_augmentation import EncoderAugmentation, agreement
from rave_lite.training.losses import (
    EnvelopeDistance,
    SpectralDistance,
    reconstruction_distance,
    squared_distance,
    views,
)
from rave_lite.training.parameter_schedule import ParameterSchedule, factor
from rave_lite.training.runner import NetworkRunner, frozen, tf32
from rave_lite.training.step_graphs import StepGraphs

NamedParameters = list[tuple[str, nn.Parameter]]
CALIBRATION_WINDOWS = 16  # may span several batches, as one batch may be all quiet
DISTANCES = ("held_out/distance", "train/distance")  # metric names, in the order of the validation loaders


class RAVETraining(L.LightningModule):
    """RAVE's two training phases. 1: spectral distance and latent penalty. 2: frozen encoder, adversarial losses added.

    `phase1_steps`, `phase2_steps`: length of each phase; `lr`: (first, last) of the generator, falling linearly over phase 1
    after a linear rise over the first `warmup` steps; `weights`: weight of each loss by name; `penalty_warmup`: (first
    weight, steps) of a geometric rise, or None; `ema`: decay per step of averaged weights, or None; `discriminator_every`:
    in phase 2, every n-th step trains the discriminator instead of the generator; `adversarial`: kind of its loss;
    `balancer`: decay of a `LossBalancer`'s means, or None; `ada`, `encoder_augmentation`: of all discriminator inputs, of a
    learning encoder's, or None; `run`: runs the networks; `seed`: seeds every step; `config`: saved in every checkpoint.

    To start from a trained model: `freeze`, `lr_scale`: see `ParameterSchedule`; `pull`: weight of the squared distance of
    the model's weights to those it started from (L2-SP: Li et al., ICML 2018, arXiv 1802.01483).
    """

    first_nonfinite_step: Tensor
    penalty_weight: Tensor

    def __init__(self, *, model: RAVE, discriminator: nn.Module, distance: SpectralDistance,
                 bands_distance: SpectralDistance, envelope_distance: EnvelopeDistance, weights: dict[str, float],
                 phase1_steps: int, phase2_steps: int, lr: tuple[float, float], discriminator_lr: float,
                 betas: tuple[float, float],
                 discriminator_every: int = 4, adversarial: str = "hinge", ema: float | None = None,
                 balancer: float | None = None, penalty_warmup: tuple[float, int] | None = None, warmup: int = 0,
                 ada: AdaptiveAugmentation | None = None, encoder_augmentation: EncoderAugmentation | None = None,
                 run: NetworkRunner | None = None, seed: int = 0, freeze: dict[str, float] | None = None,
                 lr_scale: dict[str, float] | None = None, pull: float = 0.0, config: dict[str, Any] | None = None):
        super().__init__()
        self.automatic_optimization = False
        self.model, self.discriminator = model, discriminator
        self.distance, self.bands_distance, self.envelope_distance = distance, bands_distance, envelope_distance
        self.ema, self.ema_decay = copy.deepcopy(model).requires_grad_(False) if ema else None, ema or 0.0
        self.ada, self.encoder_augmentation = ada, encoder_augmentation
        self.schedule = ParameterSchedule(freeze, lr_scale, names=layer_names(model.config))
        self.schedule.check(name for names in self.network_parameters() for name, _ in names)
        self.start = copy.deepcopy(model).requires_grad_(False) if pull else None
        self.balancer, self.penalty_warmup = None if balancer is None else LossBalancer(weights, balancer), penalty_warmup
        self.weights = weights | {"pull": factor("pull", pull, 0.001)}
        if encoder_augmentation is not None:
            self.weights["agreement"] = encoder_augmentation.agreement
        self.phase1_steps, self.phase2_steps = phase1_steps, phase2_steps
        self.lr, self.discriminator_lr, self.betas, self.warmup = lr, discriminator_lr, betas, warmup
        self.discriminator_every, self.adversarial = discriminator_every, Adversarial(adversarial)
        self.run, self.seed, self.config = run or NetworkRunner(), seed, config or {}
        self.step, self.calibrated = 0, False  # updates so far, saved; calibrated: also after a start from a trained model
        self.phase1_ended: int | None = None  # the step at which phase 1 ended early
        self.register_buffer("first_nonfinite_step", torch.tensor(-1), persistent=False)  # -1: every loss was finite
        self.register_buffer("penalty_weight", torch.tensor(0.0), persistent=False)  # of this step, where a graph reads it
        self.graphs = StepGraphs()

    @property
    def phase(self) -> int:
        return 1 if self.step < self.phase1_steps else 2

    @property
    def total_steps(self) -> int:
        return self.phase1_steps + self.phase2_steps

    def end_phase1(self, step: int) -> None:
        """End phase 1 at `step`, earlier than planned."""
        self.phase1_steps = self.phase1_ended = step

    @property
    def best_model(self) -> RAVE:
        """The model with averaged weights where the run keeps them, else the trained one."""
        return self.model if self.ema is None else self.ema

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for the model and for the discriminators; their state does not depend on the parameter schedule."""
        generator, discriminator = self.network_parameters()
        return [torch.optim.Adam(generator, self.lr[0], self.betas, fused=True),
                torch.optim.Adam(discriminator, self.discriminator_lr, self.betas, fused=True)]

    def network_parameters(self) -> tuple[NamedParameters, NamedParameters]:
        """Parameters of the model and of the discriminators, with the names that `ParameterSchedule` knows."""
        discriminator = [(f"discriminator.{name}", p) for name, p in self.discriminator.named_parameters()]
        return list(self.model.named_parameters()), discriminator

    def training_step(self, x: Tensor, _: int) -> dict[str, Tensor]:
        """One update on `(B, channels, T)`; the losses by name."""
        losses = self.update_step(x, *self.optimizers(), backward=self.manual_backward)  # type: ignore[misc]
        if self.step >= self.total_steps:
            self.trainer.should_stop = True
        return losses

    def update_step(self, x: Tensor, generator: Any, discriminator: Any,
                    backward: Callable[[Tensor], None] = Tensor.backward) -> dict[str, Tensor]:
        """One update of the generator or, every n-th step of phase 2, of the discriminator. It never waits for the GPU."""
        self._seed_step()
        if self.step == 0 and not self.calibrated:
            self.calibrate(x)
        adversary = self.phase == 2 and self.step % self.discriminator_every == 0
        optimizer, lr = (discriminator, self.discriminator_lr) if adversary else (generator, self.generator_lr())
        optimizer.zero_grad()
        self.penalty_weight.fill_(self.weight("penalty"))
        passes = partial(self._discriminator_passes if adversary else self._generator_passes, backward=backward)
        if self.run.records(x):
            kind = adversary, self.is_frozen("encoder")
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            losses = self.graphs(passes, x, parameters, phase=self.phase, kind=kind)
        else:
            losses = passes(x)
        is_first = (self.first_nonfinite_step < 0) & ~losses["total"].isfinite()
        self.first_nonfinite_step.masked_fill_(is_first, self.step)
        with self.schedule.applied_to(optimizer, lr, self.is_frozen):
            optimizer.step()
        if not adversary:
            self._average()
        self.step += 1
        return {name: loss for name, loss in losses.items() if name != "total"}

    def _generator_passes(self, x: Tensor, backward: Callable[[Tensor], None]) -> dict[str, Tensor]:
        """The generator's gradients; its losses by name, and their weighted total."""
        with frozen(self.discriminator):
            reconstruction = self.reconstruct_bands(x)
            losses = self.generator_losses(x, reconstruction)
            weighted = {name: loss * (self.penalty_weight if name == "penalty" else self.weight(name))
                        for name, loss in losses.items()}
            losses["total"] = torch.stack(list(weighted.values())).sum()
            with tf32(True):
                backward(losses["total"] if self.balancer is None else self.balancer(losses, weighted, reconstruction[1]))
        return {name: loss.detach() for name, loss in losses.items()}

    def _discriminator_passes(self, x: Tensor, backward: Callable[[Tensor], None]) -> dict[str, Tensor]:
        loss = self.discriminator_loss(x)
        with tf32(True):
            backward(loss)
        return {"discriminator": loss.detach(), "total": loss.detach()}

    @tf32(False)
    def calibrate(self, x: Tensor) -> None:
        """Run `RAVE.calibrate` on windows `(B, channels, T)` of the recordings; the more windows, the better.

        The first update calibrates with its batch if nothing else has. Several processes must use the same windows.
        """
        self.calibrated = True
        self.model.calibrate(x)
        if self.ema is not None:
            self.ema.load_state_dict(self.model.state_dict())

    def _seed_step(self) -> None:
        """Seed torch from seed, step and process alone, so that no generator state needs to be saved."""
        state = np.random.SeedSequence([self.seed, self.step, self.global_rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))

    def is_frozen(self, part: str) -> bool:
        """Whether a part or parameter keeps its weights in this step: by the schedule, or the encoder in phase 2."""
        return (self.phase == 2 and part.split(".")[0] in ("encoder", "latent")) or self.schedule.is_frozen(part, self.step)

    @torch.no_grad()
    def _average(self) -> None:
        """Update the averaged weights, with a shorter average at first, so that the initial weights are forgotten."""
        if self.ema is not None:
            decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)
            for averaged, gathered in zip(self.ema.encoder.buffers(), self.model.encoder.buffers(), strict=True):
                averaged.copy_(gathered)

    @tf32(False)
    def generator_losses(self, x: Tensor, reconstruction: tuple[Tensor, Tensor, Tensor] | None = None) -> dict[str, Tensor]:
        """The generator's unweighted losses by name; `reconstruction`: of `x`, by `reconstruct_bands`, if there is one."""
        bands, output_bands, h = reconstruction or self.reconstruct_bands(x)
        output = self.model.pqmf.inverse(output_bands)
        reference, output = self.aligned(x, output, self.model.latency)
        band_distances = self.bands_distance(*self.aligned(bands, output_bands, self.model.decoder.delay))
        losses = {**self.distance(views(reference), views(output)), "bands": band_distances["linear"],
                  "penalty": self.model.latent.penalty(h[: len(x)])}
        if self.weights["envelope"]:
            losses["envelope"] = self.envelope_distance(reference, output)
        if len(h) > len(x):
            losses["agreement"] = agreement(*self.model.latent.mean(h).chunk(2))
        if self.start is not None:
            losses["pull"] = squared_distance(self.model, self.start)
        if self.phase == 2:
            reference, output = self.augment_for_discriminator(reference, output)
            with self.run.folded(self.discriminator):
                with torch.no_grad():
                    real = self.run(self.discriminator, reference)
                fake = self.run(self.discriminator, output)
            losses |= {"adversarial": self.adversarial.generator([stack[-1] for stack in fake]),
                       "feature_matching": feature_matching(real, fake)}
        return losses

    @tf32(False)
    def discriminator_loss(self, x: Tensor) -> Tensor:
        """Adversarial loss of the discriminator on reconstructions without gradient; its scores also adapt `ada`."""
        with torch.no_grad():
            output = self.model.pqmf.inverse(self.reconstruct_bands(x)[1])
            reference, output = self.augment_for_discriminator(*self.aligned(x, output, self.model.latency))
        with self.run.folded(self.discriminator):
            scores = [stack[-1] for stack in self.run(self.discriminator, torch.cat([reference, output]))]
        if self.ada is not None:
            self.ada.adapt([score[: len(score) // 2] for score in scores], len(x))
        return self.adversarial.discriminator(scores)

    def augment_for_discriminator(self, reference: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        """Both signals as the discriminators receive them, `(B * channels, 1, T)`: each channel is a window of its own."""
        if self.ada is not None:
            reference, output = self.ada(reference, output)
        return reference.flatten(0, 1).unsqueeze(1), output.flatten(0, 1).unsqueeze(1)

    @tf32(False)
    def reconstruct_bands(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`(B, channels, T)` to its bands, reconstructed bands, the encoder's output; no gradient through a frozen encoder.

        The output of a learning encoder is `(2 * B, ...)` with `encoder_augmentation`: then changed windows follow."""
        encoder, decoder, learns = self.model.encoder, self.model.decoder, torch.is_grad_enabled()
        separate = learns and self.is_frozen("encoder")
        for part in (encoder, self.model.latent):
            part.train(self.training and not self.is_frozen("encoder"))  # frozen, they use what they have gathered
        bands = self.model.pqmf(x)
        augment = self.encoder_augmentation if learns and not separate else None
        inputs = self.model.middle(torch.cat([bands, self.model.pqmf(augment(x))]) if augment else bands)
        with self.run.folded(decoder, *[encoder] * (not separate)):
            with torch.set_grad_enabled(learns and not separate), self.run.folded(*[encoder] * separate):
                h = self.run(encoder, inputs).to(x.dtype)
            z = self.model.latent.draw(augment.choose(h) if augment else h)
            output_bands = self.run(decoder, self.model.latent.widen(z)).to(x.dtype)
        return bands, self.model.spread(output_bands, self.model.image(bands)), h

    def aligned(self, reference: Tensor, output: Tensor, delay: int) -> tuple[Tensor, Tensor]:
        """Delay the reference by the model's delay; drop the start, which was computed from padding.

        Waveforms `(B, channels, T)`, or bands `(B, channels * n_bands, T / n_bands)`, of which a frame is `n_bands` samples.
        A negative delay, possible for the bands of imported models, advances the reference and shortens both.
        """
        frames = output.shape[-1] + min(delay, 0)
        skip = min(self.model.receptive_field * self.model.channels // output.shape[1], frames // 4)
        return F.pad(reference, (delay, 0))[..., skip:frames], output[..., skip:frames]

    def generator_lr(self) -> float:
        first, last = self.lr
        rate = first + (last - first) * min(1.0, self.step / max(1, self.phase1_steps))
        return rate * min(1.0, (self.step + 1) / max(1, self.warmup))

    def weight(self, name: str) -> float:
        if name != "penalty" or self.penalty_warmup is None:
            return self.weights[name]
        first, steps = self.penalty_warmup
        return first * (self.weights[name] / first) ** min(1.0, self.step / steps)

    @tf32(False)
    def validation_step(self, batch: tuple[Tensor, tuple[str, ...]], _: int, dataloader_idx: int = 0) -> Tensor:
        """Distance of one held-out (loader 0) or training (loader 1) piece, in float32, always with the same noise."""
        distance = reconstruction_distance(self.distance, self.best_model, batch[0])
        self.log(DISTANCES[dataloader_idx], distance, batch_size=1, sync_dist=True, logger=False, add_dataloader_idx=False)
        return distance

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.step, -1 if self.phase1_ended is None else self.phase1_ended])

    def set_extra_state(self, state: Tensor) -> None:
        self.step, ended = state.tolist()
        if ended >= 0:
            self.end_phase1(ended)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        migrate(checkpoint)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= header(self.model.config, self.config, self.step, self.phase)
