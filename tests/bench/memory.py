"""An estimate, without a GPU, of the memory that a training step allocates: the step is run on tensors without data.

    python -m tests.bench.memory [training overrides ...]

Prints, per kind of step, the largest sum of live tensors, each rounded up to 512 bytes as torch's CUDA allocator does. Not
in it: work space of cuDNN and cuBLAS, the CUDA context, fragmentation; CPU autocast stands for CUDA's.
"""

import sys

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from rave_lite.cli.build import build
from tests.conftest import configured
from tests.memory import LiveBytes

GIB = 2**30


def main() -> None:
    config = configured("train", "data.root=none", *sys.argv[1:])
    for phase, step in ((1, 0), (2, 0), (2, 1)):
        module = build(config)
        with FakeTensorMode():
            module._apply(lambda t: torch.empty(t.shape, dtype=t.dtype))
            module.step, module.phase1_steps = step, 10 if phase == 1 else 0
            optimizers = [torch.optim.Adam(named, foreach=True) for named in module.network_parameters()]
            x = torch.randn(config.data.batch_size, 1, config.data.window)
            with LiveBytes() as count:
                for tensor in [*module.parameters(), *module.buffers(), x]:
                    count.add(tensor)
                for optimizer in optimizers:  # both have their state, and the gradients of the last step
                    for parameter in optimizer.param_groups[0]["params"]:
                        parameter.grad = torch.zeros_like(parameter)
                    optimizer.step()
                held, count.peak = count.live, 0
                module.update_step(x, *optimizers)
        kind = "generator" if step or phase == 1 else "discriminators"
        print(f"phase {phase}, {kind}: {count.peak / GIB:.2f} GiB, of which weights, gradients and Adam {held / GIB:.2f}")


if __name__ == "__main__":
    main()
