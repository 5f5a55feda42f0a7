"""Sweeps: the folders of their jobs, how they fail, and submitit's real jobs on a simulated SLURM."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from rave_lite.files import folder_name
from rave_lite.model import read_checkpoint
from tests.commands import fails, rave_lite

SETTINGS = ["model=tiny", "model.capacity=4", "discriminator.capacity=2", "data.window=8192", "data.batch_size=2",
            "data.workers=0", "phase1.steps=1", "trainer.val_check_interval=1000", "trainer.accelerator=cpu", "logger=csv",
            "callbacks.checkpoints.every=1", "+callbacks.checkpoints.principal_seconds=1"]

# What submitit calls. Tasks run one after another, with the environment that slurmd and srun give them.
SLURM = '''#!{python}
import os, shlex, signal, subprocess, sys
from pathlib import Path

STATE = Path({state!r})


def options(job):
    lines = (STATE / f"{{job}}.sh").read_text().splitlines()
    words = [shlex.split(line)[1] for line in lines if line.startswith("#SBATCH ")]
    return dict(word[2:].partition("=")[::2] for word in words)


def named(path):
    """With %j, %A, %a and %t filled in, as SLURM does."""
    env = os.environ
    array = env.get("SLURM_ARRAY_JOB_ID", env["SLURM_JOB_ID"])
    filled = dict(j=env["SLURM_JOB_ID"], A=array, a=env.get("SLURM_ARRAY_TASK_ID", ""), t=env.get("SLURM_PROCID", "0"))
    for letter, value in filled.items():
        path = path.replace("%" + letter, value)
    return path


def sbatch(script):
    text = Path(script).read_text()
    if "partition=gpu" not in text:
        sys.exit("sbatch: error: invalid partition specified")
    job = 4242 + len(list(STATE.glob("*.sh")))
    (STATE / f"{{job}}.sh").write_text(text)
    subprocess.Popen([sys.executable, __file__, "slurmctld", str(job)], start_new_session=True, stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print("Submitted batch job", job)


def slurmctld(job):
    requested = options(job)
    array = requested.get("array")
    tasks = range(int(array.partition("%")[0].partition("-")[2]) + 1) if array else [None]
    names = [job if task is None else f"{{job}}_{{task}}" for task in tasks]
    for name in names:
        (STATE / name).write_text("PENDING")
    for number, (task, name) in enumerate(zip(tasks, names)):
        env = dict(SLURM_JOB_ID=str(int(job) + number), SLURM_JOB_NAME=requested["job-name"],
                   SLURM_NNODES=requested["nodes"], SLURM_JOB_NUM_NODES=requested["nodes"], SLURM_JOB_NODELIST="node1",
                   SLURM_NTASKS=requested["ntasks-per-node"], SLURM_NTASKS_PER_NODE=requested["ntasks-per-node"],
                   SLURM_CPUS_PER_TASK=requested["cpus-per-task"], NAME=name)
        if task is not None:
            env.update(SLURM_ARRAY_JOB_ID=job, SLURM_ARRAY_TASK_ID=str(task))
        os.environ.update(env)
        again = STATE / f"{{name}}.requeue"
        while True:
            again.unlink(missing_ok=True)
            (STATE / name).write_text("RUNNING")
            with open(named(requested["output"]), "a") as log:
                code = subprocess.call(["bash", STATE / f"{{job}}.sh"], stdout=log, stderr=log)
            if not again.exists():
                break
        (STATE / name).write_text("COMPLETED" if code == 0 else "FAILED")


def srun(*arguments):
    os.environ.update(SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_NODEID="0", SLURM_STEP_ID="0")
    assert arguments[:2] == ("--unbuffered", "--output")
    assert os.environ["SRUN_CPUS_PER_TASK"] == os.environ["SLURM_CPUS_PER_TASK"]
    with open(named(arguments[2]), "a") as log:
        step = subprocess.Popen(arguments[3:], stdout=log, stderr=log, start_new_session=True)
    (STATE / f"{{os.environ['NAME']}}.pid").write_text(str(step.pid))
    sys.exit(step.wait())


def sacct(*arguments):
    print("JobID|State|NodeList")
    for path in STATE.iterdir():
        if not path.suffix:
            print(path.name, path.read_text(), "node1", sep="|")


def scontrol(command, name):
    assert command == "requeue"
    (STATE / f"{{name}}.requeue").touch()


def scancel(name, option, number):
    assert option == "--signal"
    os.killpg(int((STATE / f"{{name}}.pid").read_text()), getattr(signal, "SIG" + number))


command, *arguments = [Path(sys.argv[0]).name, *sys.argv[1:]]
if arguments and arguments[0] == "slurmctld":
    command, *arguments = arguments
globals()[command](*arguments)
'''


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """Fake SLURM commands on the PATH; returns the folder with the scripts they were given."""
    state, commands = tmp_path / "slurm_state", tmp_path / "slurm_commands"
    state.mkdir()
    commands.mkdir()
    for name in ("sbatch", "srun", "sacct", "scontrol", "scancel"):
        (commands / name).write_text(SLURM.format(python=sys.executable, state=str(state)))
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    return state


@pytest.fixture
def project(write, tmp_path) -> Path:
    """A folder to type commands in, beside two short recordings in audio."""
    for i in range(2):
        write(f"{i}.wav", 0.4)
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def sweep(*arguments: str) -> list[str]:
    return ["train", "--multirun", "name=kompang", "data.root=../audio", "data.cache=../cache", *SETTINGS, *arguments]


def steps(run: Path) -> int:
    return read_checkpoint(run / "checkpoints/last.ckpt").step


@pytest.mark.slow
def test_a_sweep_on_slurm(slurm, project):
    """Two real jobs: one trains to its end, the other is warned of its time limit, queued again, and goes on."""
    folder = project / "runs/kompang"
    short, long = folder / "phase2.steps-1", folder / "phase2.steps-300"

    def warn() -> None:
        deadline = time.monotonic() + 200
        while not (long / "checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        subprocess.run(["scancel", "4242_1", "--signal", "USR2"], check=True)

    clock = threading.Thread(target=warn)
    clock.start()
    done = rave_lite(*sweep("phase2.steps=1,300", "hydra/launcher=slurm", "hydra.launcher.partition=gpu", "resume=auto",
                            "hydra.launcher.timeout_min=1", "hydra.launcher.max_num_timeout=1"), cwd=project)
    clock.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs/kompang/phase2.steps-1\n  runs/kompang/phase2.steps-300\n" in done.stdout

    lines = (slurm / "4242.sh").read_text().splitlines()
    directives = dict(shlex.split(line)[1].split("=", 1) for line in lines if line.startswith("#SBATCH"))
    assert directives.pop("--output") == str(folder / "slurm/%A_%a/%A_%a_0_log.out")
    assert directives == {
        "--partition": "gpu", "--gpus-per-node": "1", "--cpus-per-task": "8", "--mem": "32GB", "--time": "1", "--nodes": "1",
        "--ntasks-per-node": "1", "--array": "0-1%2", "--signal": "USR2@120", "--job-name": "kompang",
        "--open-mode": "append", "--wckey": "submitit"}

    assert {path.name for path in folder.iterdir()} == {"multirun.yaml", "slurm", short.name, long.name}
    for run, number, count in ((short, 0, 1), (long, 1, 300)):
        config = read_checkpoint(run / "checkpoints/last.ckpt").settings
        assert config["out"] == f"runs/kompang/{run.name}"
        assert (config["name"], config["phase1"]["steps"], config["phase2"]["steps"]) == ("kompang", 1, count)
        log = (folder / f"slurm/4242_{number}/4242_{number}_0_log.out").read_text()
        assert f"\nruns/kompang/{run.name}\n" in log
    assert steps(short) == 2
    assert steps(long) == 301
    log = (folder / "slurm/4242_1/4242_1_0_log.out").read_text()
    assert "stopping after this step and saving" in log
    assert log.count("\nruns/kompang/phase2.steps-300\n") == 2  # begun twice
    assert "step 2 of 2; checkpoints in" in (folder / "slurm/4242_0/4242_0_0_log.out").read_text()


@pytest.mark.slow
def test_the_same_sweep_on_one_machine_and_its_resume(project):
    done = rave_lite(*sweep("seed=0,1", "training.ema=0.9", "phase2.steps=1"), cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [project / f"runs/kompang/seed-{seed}" for seed in (0, 1)]
    assert {path.name for path in (project / "runs/kompang").iterdir()} == {"multirun.yaml", "seed-0", "seed-1"}
    first, second = (read_checkpoint(run / "checkpoints/last.ckpt") for run in runs)
    assert (first.settings["seed"], second.settings["seed"]) == (0, 1)
    assert first.settings["training"]["ema"] == second.settings["training"]["ema"] == 0.9
    assert not all(first.state_dict[k].equal(v) for k, v in second.state_dict.items() if k.startswith("model."))

    stderr = fails("runs/kompang/seed-0 holds a run already", *sweep("seed=0,1", "phase2.steps=1"), cwd=project)
    assert "runs/kompang/seed-1 holds a run already" in stderr  # the other jobs run, whatever becomes of one
    done = rave_lite(*sweep("seed=0,1", "training.ema=0.9", "phase2.steps=2", "resume=last"), cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [steps(run) for run in runs] == [3, 3]


@pytest.mark.slow
def test_wrong_input_in_one_job_spares_the_others(project):
    """A refused job leaves nothing and does not stop the others, and values that are no folder names still get folders."""
    stderr = fails("nowhere/a b: no such file or folder", *sweep("data.root='nowhere/a b',../audio", "phase2.steps=0"),
                   cwd=project)
    [good] = {path.name for path in (project / "runs/kompang").iterdir()} - {"multirun.yaml"}
    [bad] = re.findall(r"rave-lite: runs/kompang/(.+?): ", stderr)
    assert "nowhere" in bad
    assert all(re.fullmatch(r"data\.root-[\w.-]+-[0-9a-f]{6}", name) for name in (bad, good))
    assert steps(project / "runs/kompang" / good) == 1


def test_a_crash_in_a_job_is_shown_and_ends_with_1(project, monkeypatch):
    def catalogue(*_, seed, **__):
        raise RuntimeError(f"seed {seed} failed")

    monkeypatch.setattr("rave_lite.data.settings.catalogue", catalogue)
    done = rave_lite(*sweep("seed=3,4"), cwd=project)
    assert done.returncode == 1
    for seed in (3, 4):
        assert f"rave-lite: runs/kompang/seed-{seed}: RuntimeError: seed {seed} failed" in done.stderr
        assert "in catalogue" in done.stderr  # the traceback


def test_ctrl_c_before_the_training_ends_the_sweep(project, monkeypatch):
    monkeypatch.setattr("rave_lite.data.settings.catalogue", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
    try:
        done = rave_lite(*sweep("seed=3,4"), cwd=project)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.returncode == 130
    assert done.stderr == "rave-lite: stopped\n"
    assert not (project / "runs/kompang/seed-4").exists()


def test_jobs_that_would_share_a_folder_are_refused(project):
    for arguments in (["seed=0,0"], ["seed=0,1", "hydra.sweep.subdir=x"], ["training.ema=0.5,0.50,0.5"]):
        fails("two jobs of this sweep would write into one folder: runs/kompang/", *sweep(*arguments), cwd=project)
    assert not (project / "runs").exists()
    fails("Could not find 'model/v9'", *sweep("model=tiny,v9"), cwd=project)


@settings(max_examples=200)
@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_folder_names(values):
    """Every value gives a different name, which needs no quotes in a shell or in Hydra's ckpt=."""
    names = [folder_name(f"data.root-{value}") for value in values]
    assert names[0] != names[1]
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_.+-]{1,107}", name)
        override = OverridesParser.create().parse_override(f"ckpt=runs/{name}/last.ckpt")
        assert not override.is_sweep_override()
        assert override.value() == f"runs/{name}/last.ckpt"
    assert folder_name("seed-0+training.ema-0.99") == "seed-0+training.ema-0.99"
    assert folder_name("") == "."


def test_what_slurm_needs(slurm, project, monkeypatch):
    launcher = ["hydra/launcher=slurm", "hydra.launcher.partition=none", "seed=0,1"]
    done = rave_lite(*sweep(*launcher), cwd=project)
    assert done.returncode == 1
    assert "sbatch: error: invalid partition specified" in done.stderr
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(project))
        fails("sbatch, srun: no such commands here", *sweep(*launcher), cwd=project)
    monkeypatch.setitem(sys.modules, "submitit", None)
    fails("pip install 'rave_lite[slurm]'", *sweep(*launcher), cwd=project)
