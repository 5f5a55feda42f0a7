"""Builds what stands in CMakeLists.txt."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

fcntl = pytest.importorskip("fcntl", reason="hosts are built under a POSIX file lock")


def built(tmp_path_factory: pytest.TempPathFactory, target: str, file: str | None = None) -> Path:
    """The file of a target, compiled once a run: the lock keeps a second test process waiting for the first one's."""
    compilers = [os.environ.get("CXX", "c++").split()[0], "g++", "clang++"]
    if not shutil.which("cmake") or not any(map(shutil.which, compilers)):
        pytest.skip("hosts are built with cmake and a C++ compiler; one of them is not here")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "host"
    folder.mkdir(exist_ok=True)
    made = folder / (file or target)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            torch_at = [f"-DTORCH={torch.__path__[0]}", f"-DABI={int(torch.compiled_with_cxx11_abi())}"]
            for step in (["-S", str(Path(__file__).parent), "-B", str(folder), *torch_at],
                         ["--build", str(folder), "--target", target]):
                done = subprocess.run(["cmake", *step], capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout + done.stderr
    return made
