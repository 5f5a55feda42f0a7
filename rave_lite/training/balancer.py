"""Balances losses by their gradients at the output."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rave_lite.errors import InputError

REFERENCE = "linear"  # the loss whose gradient stays as it is at weight 1


class LossBalancer(nn.Module):
    """Scales the gradient of each loss at the output to its weight (Défossez et al., EnCodec, 2022, section 3.4).

    The norm of a gradient is the mean over the items, then an exponential mean over the steps with `decay`, a buffer. Each
    gradient is divided by its own mean norm and multiplied by its weight and by the mean norm of `linear`. So the weights
    are shares of the whole, and losses outside, such as the penalty of the latents, keep their weight relative to `linear`:
    they have no gradient at the output. Losses of weight 0 are left out. Raises InputError for an impossible decay.

    The output is the decoder's bands, where the distance of the bands has a gradient, too; the filter bank is orthogonal,
    so the norms of the others are those at the waveform. Each loss costs a backward pass down to the
    bands, adversarial loss and feature matching one through the discriminators each; the decoder's is one for all. The
    logarithms of spectra have their largest gradients where the output is quiet, and so does their norm.
    """

    means: Tensor
    weights: Tensor

    def __init__(self, weights: dict[str, float], decay: float):
        super().__init__()
        if not isinstance(decay, int | float) or not 0 <= decay < 1:
            raise InputError(f"{decay} is no decay from 0 to below 1; say null, or 0.999", where="training.balancer")
        self.names, self.decay = [name for name in weights if weights[name] and name != "penalty"], decay
        self.register_buffer("weights", torch.tensor([weights[name] for name in self.names]), persistent=False)
        self.register_buffer("means", torch.zeros(2, len(self.names)))  # of norms, and of 1: what the steps so far weigh

    def forward(self, losses: dict[str, Tensor], weighted: dict[str, Tensor], output: Tensor) -> Tensor:
        """What to differentiate instead of the sum of `weighted`: the scaled losses by `output`, the others as they are.

        `losses`, `weighted`: by name, not and already multiplied by their weights; `output`: `(B, ...)`.
        """
        names = [name for name in self.names if name in losses]
        gradients = torch.stack([torch.autograd.grad(losses[name], output, retain_graph=name != names[-1])[0]
                                 for name in names])
        with torch.no_grad():
            norms = self.update(names, torch.linalg.vector_norm(gradients.flatten(2), dim=2).mean(1))
            scales = self.of(names, self.weights) * norms[names.index(REFERENCE)] / norms.clamp_min(1e-12)
            balanced = torch.einsum("n,n...->...", scales.to(gradients.dtype), gradients)
        others = [loss for name, loss in weighted.items() if name not in names]
        return torch.stack([(output * balanced).sum(), *others]).sum()

    def update(self, names: list[str], norms: Tensor) -> Tensor:
        """The mean norms of the losses `names` after a step with `norms`, means over all processes."""
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(norms)
            norms = norms / dist.get_world_size()
        step = torch.stack([norms, torch.ones_like(norms)]).to(self.means.dtype)
        columns = self.means.unbind(1)
        torch._foreach_lerp_([columns[self.names.index(name)] for name in names], list(step.unbind(1)), 1 - self.decay)
        sums, shares = self.of(names, self.means)
        return sums / shares

    def of(self, names: list[str], table: Tensor) -> Tensor:
        """The columns of `names`; without an index, which a GPU would have to wait for."""
        columns = table.unbind(-1)
        return torch.stack([columns[self.names.index(name)] for name in names], -1)
