"""Ctrl-C and SIGTERM, of which none is lost, whatever a command is at.

The first one raises KeyboardInterrupt. Raised while another library's callback runs, as a garbage collector's, that may
be dropped there; so it is remembered, and :func:`check`, which trainings call at every step, raises it again. A second
one, a moment later, ends the process at once.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

PATIENCE = 1.0  # seconds within which a second signal is the first one's echo: `timeout` sends two at once


class _Watch:
    """What has come since the command began."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.time = 0.0

    def take(self, number: int, frame: Any) -> None:
        if self.number is None:
            self.number, self.time = number, monotonic()
            raise KeyboardInterrupt
        if monotonic() - self.time > PATIENCE:
            os.write(2, b"stopped at once\n")
            os._exit(128 + number)


_watches: list[_Watch] = []


@contextmanager
def watched() -> Iterator[_Watch]:
    """Within, SIGTERM interrupts as Ctrl-C does, and neither is lost. Elsewhere than in the main thread: nothing."""
    watch = _Watch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.signal(number, watch.take) for number in numbers}
    unraisable = sys.unraisablehook

    def said(dropped: Any) -> None:
        if not (watch.number is not None and issubclass(dropped.exc_type, KeyboardInterrupt)):
            unraisable(dropped)

    sys.unraisablehook = said  # what a callback drops is raised again: no traceback need say so
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
        sys.unraisablehook = unraisable
        for number, handler in before.items():
            signal.signal(number, handler)


def came() -> bool:
    """Whether a signal came, be it dropped or not."""
    return bool(_watches) and _watches[-1].number is not None


def check() -> None:
    """Raise KeyboardInterrupt where a signal came and was dropped."""
    if came():
        raise KeyboardInterrupt


def ignore() -> None:
    """Let no signal change the status of a process that is done."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def status(watch: _Watch) -> int:
    """The exit status of an interrupted command: 130 by Ctrl-C, 143 by SIGTERM."""
    return 128 + (watch.number or signal.SIGINT)


def open_missing_streams() -> None:
    """Give a process that was started without standard output or standard error one that goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
