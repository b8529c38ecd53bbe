"""A program in several processes that compute together: ``python -m keras_port.launch --processes P -m MODULE ...``.

Without ``--hosts`` all P of them are started here, on the loopback device; what process 0 prints is shown, and of the
others their errors. On several hosts it is started once for each process, with ``--hosts`` and ``--process``.
"""

import argparse
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from keras_port import distribution

GRACE = 60.0  # seconds that the other processes have for ending by themselves, once one has failed


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m keras_port.launch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--processes", type=int, required=True, metavar="P", help="how many there are in all")
    made.add_argument("--hosts", metavar="HOST:PORT", help="where process 0 is to be found")
    made.add_argument("--process", type=int, metavar="I", help="which of them this is, from 0; with --hosts")
    made.add_argument("-m", dest="module", required=True, nargs=argparse.REMAINDER, help="the program's module, and "
                      "its arguments")  # fmt: skip
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: the program's; the first that is not 0, where it is started in several processes."""
    made = parser()
    given = made.parse_args(arguments)
    if not given.module:
        made.error("-m: a module is needed")
    if (given.hosts is None) != (given.process is None):
        made.error("--hosts with --process: both or none are accepted")
    if given.hosts is None:
        if given.processes < 1:
            made.error(f"--processes {given.processes}: a whole number of at least 1 is accepted")
        return here(given.processes, given.module)
    try:
        distribution.join(given.hosts, given.process, given.processes)
    except (ValueError, RuntimeError) as problem:
        made.error(str(problem))
    with distribution.leaving_together():
        sys.argv = given.module
        runpy.run_module(given.module[0], run_name="__main__", alter_sys=True)
    return 0


def free_port() -> int:
    """A port of the loopback device that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def here(processes: int, module: Sequence[str]) -> int:
    """Run a module in several processes on this host; returns the exit status."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "keras_port.launch", "--processes", str(processes), "--hosts", address]
    running = [
        subprocess.Popen(
            [*command, "--process", str(number), "-m", *module], stdout=None if number == 0 else subprocess.DEVNULL
        )
        for number in range(processes)
    ]
    try:
        return _wait(running)
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()


def _wait(running: list[subprocess.Popen]) -> int:
    status, failed_at = 0, None
    while any(process.poll() is None for process in running):
        try:
            time.sleep(0.05)
        except KeyboardInterrupt:
            for process in running:
                process.send_signal(signal.SIGINT)
        failed = [process.returncode for process in running if process.poll()]
        if failed and failed_at is None:
            status, failed_at = failed[0], time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > GRACE:
            return _shell(status)
    return _shell(status or next((process.returncode for process in running if process.returncode), 0))


def _shell(status: int) -> int:
    """As a shell says that a signal ended a process."""
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
