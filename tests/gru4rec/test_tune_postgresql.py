"""A study of ``gru4rec tune`` on a PostgreSQL server that is started here, by workers that end or are cut off."""

import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import optuna
import polars as pl
import pytest
from optuna.trial import TrialState
from toy_engine import NAME as TOY

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TRIALS = 16
SPACE = '{"name": "learning_rate", "dtype": "float", "values": [0.1, 0.9]}\n'
# as `gru4rec tune`, but a process counts as gone after 6 seconds without a sign of life rather than 60
WORKER = (
    "import sys; from gru4rec import cli; from gru4rec.tuning import study; "
    "study.HEARTBEAT, study.GRACE = 1, 6; sys.exit(cli.main(sys.argv[1:]))"
)


def program(name):
    """A program of the server, which Debian keeps out of the path."""
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)
    if found is None:
        pytest.skip(f"no {name}: PostgreSQL's server is not installed (Debian: postgresql)")
    return found


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def port():
    """Of a server with an empty database, which ends with the tests."""
    pytest.importorskip("psycopg", reason="no psycopg: pip install gru4rec-parity[postgresql]")
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    as_user = []
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("no user postgres: PostgreSQL's server does not run as root")
        as_user = ["runuser", "-u", "postgres", "--"]
    folder, port = tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"), free_port()
    if as_user:
        os.chown(folder, owner.pw_uid, owner.pw_gid)

    def run(*command):
        done = subprocess.run([*as_user, *command], capture_output=True, text=True, cwd="/", check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        run(initdb, "-D", f"{folder}/data", "-A", "trust", "-U", "tuner", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run(pg_ctl, "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            yield port
        finally:
            run(pg_ctl, "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Cable:
    """A way to the server that can be cut: a forwarder on a port of its own."""

    def __init__(self, target):
        cable = self
        self.open: list[socket.socket] = []

        class Forward(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.create_connection(("127.0.0.1", target)) as there:
                    cable.open += [self.request, there]
                    back = threading.Thread(target=_pump, args=(there, self.request), daemon=True)
                    back.start()
                    _pump(self.request, there)
                    back.join()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def cut(self):
        """End every connection, and take no new one."""
        self.server.shutdown()
        self.server.server_close()
        for end in self.open:
            with contextlib.suppress(OSError):  # it has ended already
                end.shutdown(socket.SHUT_RDWR)


def _pump(source, target):
    with contextlib.suppress(OSError):  # the cable is cut
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def url(port, who):
    return f"postgresql://tuner@127.0.0.1:{port}/postgres?application_name={who}"


def worker(files, folder, port, who, name="shared"):
    space = folder / "space.json"
    space.write_text(SPACE)
    command = [sys.executable, "-c", WORKER, "tune", files["train"], "-t", files["test"], "--space", space, "--engine",
               TOY, "-ps", "n_epochs=2", "--no-pruning", "--out", folder / who, "-nt", TRIALS, "--study", name,
               "--storage", url(port, who)]  # fmt: skip
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return subprocess.Popen(list(map(str, command)), env=os.environ | {"PYTHONPATH": paths, "TOY_SECONDS": "0.8"},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def own(text):
    """The numbers of the trials that a worker says it has finished."""
    return {int(number) for number in re.findall(r"^trial (\d+): recall", text, re.MULTILINE)}


def owners(connection):
    """How many connections each worker has."""
    rows = connection.execute(
        "SELECT application_name, count(*) FROM pg_stat_activity WHERE application_name LIKE 'w-%' GROUP BY 1"
    )
    return dict(rows.fetchall())


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def test_four_workers_one_killed_one_cut_off_one_disconnected(files, port, tmp_path):
    import psycopg

    cable = Cable(port)
    ports = {"w-whole": port, "w-broken": port, "w-killed": port, "w-cut": cable.port}
    workers = {who: worker(files, tmp_path, where, who) for who, where in ports.items()}
    storage = url(port, "looks-on").replace("postgresql://", "postgresql+psycopg://")
    with psycopg.connect(url(port, "looks-on"), autocommit=True) as connection:
        try:
            wait_for(lambda: owners(connection).keys() == workers.keys())

            def shared():
                try:
                    return optuna.load_study(study_name="shared", storage=storage)
                except KeyError:  # nobody has begun it
                    return None

            def running():
                found = shared()
                return {} if found is None else {
                    t.number: t.params for t in found.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
                }  # fmt: skip

            # each of the four runs a trial: whoever ends now leaves one behind
            wait_for(lambda: len(running()) == 4 and all(running().values()))
            workers["w-killed"].send_signal(signal.SIGKILL)
            cable.cut()
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'w-broken'"
            ).fetchone()[0]
            assert ended >= 1
            shown = {who: each.communicate(timeout=150)[0] for who, each in workers.items()}
        finally:
            for each in workers.values():
                each.kill()
                each.wait()
    status = {who: each.returncode for who, each in workers.items()}
    assert status == {"w-whole": 0, "w-broken": 0, "w-killed": -signal.SIGKILL, "w-cut": 2}, shown
    assert re.search(r"^error: --storage .*: .*connection", shown["w-cut"], re.MULTILINE), shown["w-cut"]

    trials = shared().get_trials()
    counts = {state: sum(trial.state == state for trial in trials) for state in TrialState}
    assert counts[TrialState.COMPLETE] == TRIALS and counts[TrialState.RUNNING] == counts[TrialState.WAITING] == 0
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    assert len(failed) >= 2  # of the killed and of the cut off
    complete = [trial.params for trial in trials if trial.state == TrialState.COMPLETE]
    assert sum(trial.params in complete for trial in failed) >= 2, "a trial that was cut off was not run again"
    assert own(shown["w-whole"]) and own(shown["w-broken"])
    assert not own(shown["w-whole"]) & own(shown["w-broken"])
    tables = [pl.read_csv(tmp_path / who / "shared" / "trials.tsv", separator="\t") for who in ("w-whole", "w-broken")]
    assert tables[0].equals(tables[1])
    assert tables[0].filter(pl.col("state") == "COMPLETE").height == TRIALS


def test_a_server_that_is_not_there_is_named(files, tmp_path):
    pytest.importorskip("psycopg", reason="no psycopg: pip install gru4rec-parity[postgresql]")
    done = worker(files, tmp_path, free_port(), "nobody")
    text = done.communicate(timeout=60)[0]
    assert done.returncode == 2 and "error: --storage cannot be used: " in text
