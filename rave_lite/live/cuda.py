"""Plays an exported file on a GPU, a block as one CUDA graph: a single launch per block."""

from pathlib import Path

import numpy as np
import torch

from rave_lite.errors import InputError
from rave_lite.live.player import Player


class CudaPlayer(Player):
    """`Player` for blocks of `block` samples: one call is captured as a CUDA graph, `process` replays it.

    Attributes work as usual: the graph reads them from the same memory. Raises InputError without a CUDA device, and for a
    file whose blocks differ from one to the next (exported for another sampling rate than the model's).
    """

    def __init__(self, path: Path, block: int):
        super().__init__(path, "cuda")
        if block <= 0 or block % self.hop or self.hop == 1:
            raise InputError(f"{path}: blocks of {block} cannot be recorded: " + (
                "the file converts the sampling rate; export it at the model's own" if self.hop == 1 else
                f"they are no multiple of its hop, {self.hop}"))
        self.gpu_input = torch.zeros(1, self.channels[0], block, device="cuda")
        self.host_input = torch.zeros(1, self.channels[0], block).pin_memory()
        self.host_output = torch.zeros(1, self.channels[1], block).pin_memory()
        self.graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            side_stream = torch.cuda.Stream()
            with torch.cuda.stream(side_stream):
                for _ in range(4):  # TorchScript compiles, cuBLAS allocates its workspace
                    self.live(self.gpu_input)
            side_stream.synchronize()
            with torch.cuda.graph(self.graph):
                self.gpu_output = self.live(self.gpu_input)
        self.reset()

    def process(self, block: np.ndarray) -> np.ndarray:
        """`(channels in, block) -> (channels out, block)`: the next block of the stream."""
        with self.between_blocks, torch.inference_mode():
            self.host_input[0].copy_(torch.from_numpy(block))
            self.gpu_input.copy_(self.host_input, non_blocking=True)
            self.graph.replay()
            self.host_output.copy_(self.gpu_output, non_blocking=True)
            torch.cuda.current_stream().synchronize()
            return self.host_output[0].numpy().copy()
