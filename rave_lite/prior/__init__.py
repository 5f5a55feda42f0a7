"""A prior: what the latents of a model's recordings do next, so that the model plays by itself."""
