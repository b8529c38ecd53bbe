"""Item tensors split over devices, in processes of their own: devices are made before JAX starts."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import keras_data
from keras_port import GRU4Rec, backend, launch

HERE = Path(__file__).parent
RECORDINGS = Path(__file__).parents[2] / "parity" / "recordings"
SHORT = ("embed-constrained", "opt-duplicates-momentum", "dropout-both-separate", "opt-adam")
TAME = "n_sample=64,layers=20,batch_size=16,learning_rate=0.02"


def environment(devices):
    flags = f"--xla_force_host_platform_device_count={devices}"
    return {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}


def run(devices, *arguments, status=0):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], env=environment(devices), cwd=HERE.parents[1], text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_nothing_changes_on_four_devices():
    found = run(4, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", HERE / "on_four_devices.py")
    assert " passed" in found and "skipped" not in found


@pytest.mark.skipif(backend.NAME == "jax", reason="of the other backends")
def test_other_backends_have_one_device():
    words = f"^devices=2: 1 with KERAS_BACKEND={backend.NAME} is accepted, more with jax$"
    with pytest.raises(ValueError, match=words):
        GRU4Rec(devices=2)
    assert GRU4Rec(devices=1).devices == 1


@pytest.mark.parametrize(
    "given, words",
    [
        (["localhost", "0", "2"], "--hosts localhost: HOST:PORT of process 0 is accepted"),
        (["localhost:1234", "2", "2"], "--process 2: a whole number from 0 to 1 is accepted"),
        (["localhost:1234", "0", "0"], "--processes 0: a whole number of at least 1 is accepted"),
    ],
)
def test_bad_words_of_joining(given, words):
    code = "import sys; from keras_port import distribution as d; d.join(sys.argv[1], *map(int, sys.argv[2:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *given], env=environment(1), cwd=HERE.parents[1], capture_output=True, text=True
    )
    assert done.returncode == 1 and f"ValueError: {words}" in done.stderr


@pytest.mark.slow
def test_recordings_on_four_devices():
    files = [RECORDINGS / f"{name}.npz" for name in SHORT]
    assert "4 replays: 4 held" in run(4, "parity", "golden", "--engine", "keras@4", "--jobs", "1", *files)


@pytest.mark.slow
def test_recordings_on_two_processes_of_two_devices():
    files = [RECORDINGS / f"{name}.npz" for name in SHORT]
    launched = ("keras_port.launch", "--processes", "2", "-m")
    found = run(2, *launched, "parity", "golden", "--engine", "keras@4", "--jobs", "1", *files)
    assert "4 replays: 4 held" in found


@pytest.mark.slow
def test_one_device_and_four_are_the_same_engine(tmp_path):
    arguments = ("--engine", "keras", "--engine", "keras@4", "--steps", "12", "--out", tmp_path / "report")
    run(4, "parity", "run", *arguments)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, seed, sessions in (("train", 0, 800), ("test", 1, 100)):
        frame = keras_data.events(301, sessions, seed + 1)
        frame.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return folder


def start(files, model, number, address, *more):
    command = [
        sys.executable, "-m", "gru4rec", files / "train.tsv", "-ps", TAME, "--dtype", "float64", "-ss", "100000",
        "-s", model, "--hosts", address, "--process", number, "--processes", 2, *more,
    ]  # fmt: skip
    return subprocess.Popen(
        list(map(str, command)), env=environment(2), cwd=HERE.parents[1], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def alone(files, model, epochs, *more):
    """The same training by one process on one device."""
    given = ("gru4rec", files / "train.tsv", "-ps", f"{TAME},n_epochs={epochs}", "--dtype", "float64", "-ss", "100000")
    return run(1, *given, "-s", model, *more)


def assert_equal(found, wanted):
    for name, values in GRU4Rec.load(wanted).get_weights().items():
        np.testing.assert_allclose(GRU4Rec.load(found).get_weights()[name], values, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_is_killed_ends_the_others_and_nothing_is_lost(files, killed, tmp_path):
    model, address = tmp_path / "model", f"127.0.0.1:{launch.free_port()}"
    more = ("-ps", f"{TAME},n_epochs=400", "--devices", 4)
    running = [start(files, model, number, address, *more) for number in range(2)]
    try:
        record, end = tmp_path / "model.training.json", time.monotonic() + 120
        while not (record.exists() and json.loads(record.read_text())["saved"]["epochs"] >= 2):
            assert time.monotonic() < end and all(process.poll() is None for process in running)
            time.sleep(0.02)
        running[killed].send_signal(signal.SIGKILL)
        begin = time.monotonic()
        text, _ = running[1 - killed].communicate(timeout=60)
        assert time.monotonic() - begin < 60
        # by an error of the exchange, or by JAX, which ends a process that waits for one without a sign of life
        assert running[1 - killed].returncode in (2, -signal.SIGABRT)
        assert re.search("error: another process of this training has ended|another task died", text), text[-2000:]
    finally:
        for process in running:
            process.kill()
            process.wait()
    done = GRU4Rec.load(model).trainer.state.epochs_done
    assert done >= 2
    parts = {path.name for path in tmp_path.glob("model.*.part")}
    assert "epoch 1/" not in alone(files, model, done + 1, "--resume")
    alone(files, tmp_path / "whole", done + 1)
    assert_equal(model, tmp_path / "whole")
    assert len(parts) >= 2 and not any((tmp_path / name).exists() for name in parts)


@pytest.mark.slow
def test_two_processes_train_evaluate_and_write_as_one_does(files, tmp_path):
    address = f"127.0.0.1:{launch.free_port()}"
    more = ("-ps", f"{TAME},n_epochs=2", "--devices", 4, "-t", files / "test.tsv", "-o", tmp_path / "two.json")
    running = [start(files, tmp_path / "two", number, address, *more) for number in range(2)]
    texts = [process.communicate(timeout=240)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], texts
    assert "epoch 2/2" in texts[0] and "epoch" not in texts[1]
    one = alone(files, tmp_path / "one", 2, "-t", files / "test.tsv", "-o", tmp_path / "one.json")
    table = [line.strip() for line in one.splitlines() if "test.tsv " in line]
    assert table and table[0] in texts[0]
    metrics = [json.loads((tmp_path / name).read_text())["metrics"] for name in ("one.json", "two.json")]
    assert metrics[0] == metrics[1]
    assert_equal(tmp_path / "two", tmp_path / "one")
    again = run(2, "gru4rec", "-l", tmp_path / "two", "-t", files / "test.tsv", "--devices", 2)
    assert table[0] in again
    damage(tmp_path)


def damage(folder):
    """A part that is missing, or another one, or not whole, is told by name."""
    first, second = sorted(folder.glob("two.*.part"))
    content = second.read_bytes()
    for change, words in (
        (lambda: second.unlink(), f"its part {second.name} is missing"),
        (lambda: second.write_bytes(first.read_bytes()), f"its part {second.name} is another one"),
        (lambda: second.write_bytes(content[:-8]), "truncated"),
        (lambda: second.write_bytes(content[:-8] + bytes(8)), f"its part {second.name} is damaged"),
    ):
        change()
        with pytest.raises(ValueError, match=words):
            GRU4Rec.load(folder / "two")
        second.write_bytes(content)
    GRU4Rec.load(folder / "two")
