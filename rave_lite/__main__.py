"""`rave-lite JOB [overrides]`, the same as `python -m rave_lite JOB [overrides]`."""

import importlib
import sys

JOBS = {
    "drums": "write the built-in synthetic drum set",
    "train": "train a model on a folder of recordings",
    "evaluate": "judge a model by recordings it was not trained on",
    "reconstruct": "play sounds through a model",
    "export": "write a model as streaming TorchScript for live hosts",
}


def main() -> None:
    """Run one job; its own overrides and --help are Hydra's."""
    asked = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if asked in JOBS:
        sys.argv = [f"rave-lite {asked}", *sys.argv[2:]]
        importlib.import_module(f"rave_lite.jobs.{asked}").main()
        return
    print("rave-lite JOB [key=value ...]     rave-lite JOB --help tells more\n")
    for name, what in JOBS.items():
        print(f"  {name:12} {what}")
    if asked not in ("-h", "--help"):
        print(f"\nrave-lite: there is no job {asked!r}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
