"""What the jobs stand on: command lines, sweeps and calls from Python become configurations by Hydra."""
