"""Lines of progress: what they say about the time left."""

import pytest

from rave_lite import progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets, as `clock[0]`."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_does_not_count_the_start_up(clock, capsys):
    """40 s of start-up, then a step a second: of 100 steps 98 s are left after the second, not 49 times 41 s."""
    with progress.Progress("steps", 100, 100) as bar:
        for step in range(1, 11):
            clock[0] = 39.0 + step
            bar.advance(1, 1)
    assert capsys.readouterr().err == "steps: 2 of 100, 2%, 98 s left\n"
    clock[0] = 200.0
    with progress.Progress("steps", 100, 100) as bar:
        bar.advance(1, 1)
        clock[0] = 204.0
        bar.advance(4, 4)
    assert capsys.readouterr().err == "steps: 5 of 100, 5%, 95 s left\n"


def test_work_that_is_done_at_once_has_no_time_left(clock, capsys):
    with progress.Progress("files", 1, 7.0) as bar:
        clock[0] = 5.0
        bar.advance(7.0, 1)
    assert capsys.readouterr().err == "files: 1 of 1, 100%, 0 s left\n"


def test_short_work_says_nothing(clock, capsys):
    with progress.Progress("files", 2, 2.0) as bar:
        clock[0] = 1.9
        bar.advance(2.0, 2)
    assert capsys.readouterr().err == ""
