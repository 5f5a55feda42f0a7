"""The commands as a person types them: their exit code and output, in this process or in one of their own."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import rich

from rave_lite.__main__ import main


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def rave_lite(*arguments: object, cwd: Path | None = None) -> Done:
    """Runs the command in this process, which is faster than a new one; returns its exit code and output."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)):
        patch.setattr(sys, "argv", ["rave-lite", *map(str, arguments)])
        patch.setenv("COLUMNS", "120")
        patch.setattr(rich, "_console", None)
        patch.chdir(cwd or Path.cwd())
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return Done(0 if code is None else int(str(code)), out.getvalue(), err.getvalue())


def rave_lite_process(*arguments: object, cwd: Path, env: dict | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "rave_lite", *map(str, arguments)], capture_output=True, text=True,
                          cwd=cwd, env={**os.environ, **(env or {})}, check=False)


def fails(message: str, *arguments: object, cwd: Path | None = None) -> str:
    """The command ends with exit code 2 and one screen that holds `message`, without a traceback."""
    done = rave_lite(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr.replace("\n", " ") + done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 25
    return done.stderr
