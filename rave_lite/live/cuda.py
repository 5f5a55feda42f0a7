"""An exported file on a GPU, its whole block one CUDA graph: no launch is paid for twice."""

from pathlib import Path

import numpy as np
import torch

from rave_lite.errors import InputError
from rave_lite.live.player import Player


class CudaPlayer(Player):
    """`Player` for blocks of one size, `block` samples: the first calls are recorded, `process` replays them.

    Attributes work as ever: a recording reads them from the same memory. Raises InputError without a CUDA device, and for
    a file whose blocks differ from one to the next (exported for another sampling rate than the model's).
    """

    def __init__(self, path: Path, block: int):
        super().__init__(path, "cuda")
        if block <= 0 or block % self.hop or self.hop == 1:
            raise InputError(f"{path}: blocks of {block} cannot be recorded: " + (
                "the file converts the sampling rate; export it at the model's own" if self.hop == 1 else
                f"they are no multiple of its hop, {self.hop}"))
        self.inside = torch.zeros(1, self.channels[0], block, device="cuda")
        self.heard = torch.zeros(1, self.channels[0], block).pin_memory()
        self.made = torch.zeros(1, self.channels[1], block).pin_memory()
        self.graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            side = torch.cuda.Stream()
            with torch.cuda.stream(side):
                for _ in range(4):  # TorchScript compiles, cuBLAS takes its workspace
                    self.live(self.inside)
            side.synchronize()
            with torch.cuda.graph(self.graph):
                self.outside = self.live(self.inside)
        self.reset()

    def process(self, block: np.ndarray) -> np.ndarray:
        """`(channels in, block) -> (channels out, block)`: the next block of the stream."""
        with self.between_blocks, torch.inference_mode():
            self.heard[0].copy_(torch.from_numpy(block))
            self.inside.copy_(self.heard, non_blocking=True)
            self.graph.replay()
            self.made.copy_(self.outside, non_blocking=True)
            torch.cuda.current_stream().synchronize()
            return self.made[0].numpy().copy()
