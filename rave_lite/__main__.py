"""`rave-lite JOB [overrides]`, the same as `python -m rave_lite JOB [overrides]`."""

import sys

JOBS = {
    "drums": "write the built-in synthetic drum set",
    "curate": "group the hits of a folder, to see, hear and choose which to train on",
    "train": "train a model on a folder of recordings",
    "learning-curve": "does more data help? which recording hurts?",
    "bench-train": "measure how long training steps take, and how much memory",
    "evaluate": "judge a model by recordings it was not trained on",
    "listen": "hear recordings and what models make of them, on one page",
    "gallery": "hear a run learn: the same hits at each checkpoint, on one page",
    "reconstruct": "play sounds through a model",
    "prior": "learn how its recordings go on, to play by itself",
    "generate": "let a model play by itself: sound files and a page",
    "export": "write a model as streaming TorchScript for live hosts",
    "import": "go on from a model of the public release",
    "verify": "check an exported file",
    "bench": "measure how long an exported file takes per block",
    "live": "play through an exported file: microphone to headphones",
}


def main() -> None:
    """Runs one job. Hydra handles its overrides and its --help."""
    job = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if job in JOBS:
        from rave_lite.cli.job import job as command
        from rave_lite.cli.overrides import named

        sys.argv = [f"rave-lite {job}", *named(job, sys.argv[2:])]
        command(job.replace("-", "_"))()
        return
    print("rave-lite JOB [key=value ...]     rave-lite JOB --help tells more\n")
    for name, summary in JOBS.items():
        print(f"  {name:15} {summary}")
    if job not in ("-h", "--help"):
        print(f"\nrave-lite: there is no job {job!r}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
