"""The front door: commands by name, exit statuses, what is shown of what went wrong."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from toy_engine import NAME as TOY
from toy_engine import GRU4Rec as Toy

from gru4rec import cli, completion, signals

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_every_command_says_what_its_exit_statuses_mean(capsys, command):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    judged = {"check": ("0 nothing is bad", "1 something is"), "reproduce": ("0 done", "1 a training diverged")}
    own = judged.get("".join(command), ("0 done", "1 the training diverged"))
    for words in (*own, "2 bad input or could not run", "130 interrupted"):
        assert words in shown
    assert "--version" in shown


@pytest.mark.parametrize("command", [[], ["tune"], ["rsc15"]])
def test_the_version_is_the_cited_one(capsys, command):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--version"])
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1]
    assert ended.value.code == 0 and capsys.readouterr().out == f"gru4rec {cited}\n"


def test_one_line_of_usage_names_all_commands(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    usage = capsys.readouterr().out.splitlines()[0]
    assert usage == f"usage: gru4rec [PATH | {' | '.join(cli.COMMANDS)}] [options]"


@pytest.mark.parametrize(
    "problem, status, message",
    [
        (OSError(28, "No space left on device"), 2, "error: No space left on device"),
        (MemoryError("no memory left"), 2, "error: there is not enough memory: no memory left"),
        (ZeroDivisionError("division by zero"), 2, "error: ZeroDivisionError: division by zero"),
        (ValueError("a\x1b[31mb" + "x" * 10_000), 2, "error: a\\x1b[31mbxxx"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_whatever_goes_wrong_is_a_line_and_a_status(capsys, files, tmp_path, monkeypatch, problem, status, message):
    def failing(gru, data, sample_store=10, *, resume=False, on_step=None, on_epoch_end=None):
        raise problem

    monkeypatch.setattr(Toy, "fit", failing)
    arguments = [str(files["train"]), "--engine", TOY, "-s", str(tmp_path / "model")]
    assert cli.main(arguments) == status
    shown = capsys.readouterr().err
    assert shown.startswith(message) and len(shown) < 3000 and "Traceback" not in shown
    if status == 2:
        cli.main([*arguments, "--verbose"])
        assert "Traceback" in capsys.readouterr().err


def test_file_names_that_are_no_utf_8_and_look_like_formulas(files, tmp_path):
    odd, formula = os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m.tsv", tmp_path / "=cmd.tsv"
    with open(odd, "wb") as file:
        file.write(files["train"].read_bytes())
    parquet = odd.replace(b".tsv", b".parquet")
    pl.read_csv(files["train"], separator="\t").write_parquet(tmp_path / "plain.parquet")
    os.rename(tmp_path / "plain.parquet", parquet)
    formula.write_bytes(files["test"].read_bytes())
    for output in (b"results.tsv", b"results.json"):
        command = [sys.executable, "-m", "gru4rec", odd, "--engine", TOY, "-ps", "n_epochs=1", "-t", "=cmd.tsv", odd,
                   parquet, "-o", output]  # fmt: skip
        paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stdout + done.stderr and b"caf\\xe9\\x1b[31m.tsv" in done.stdout
    table = (tmp_path / "results.tsv").read_text()
    assert "\x1b" not in table and "\n./=cmd.tsv\t" in table


def test_a_word_that_is_no_command_is_a_file(capsys):
    assert cli.main(["no-such-file", "-o", "x.json"]) == 2
    assert "no-such-file" in capsys.readouterr().err


def process(folder, *arguments, **options):
    paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    command = [sys.executable, "-m", "gru4rec", *map(str, arguments)]
    environment = {"TOY_SECONDS": "60"} | os.environ | {"PYTHONPATH": paths}
    return subprocess.Popen(command, cwd=folder, env=environment, **options)


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_command_with_its_status(files, tmp_path, number, status):
    running = process(tmp_path, "train", files["train"], "--engine", TOY, "-s", "model",
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    while b"on the CPU" not in running.stdout.readline():
        assert running.poll() is None
    time.sleep(0.2)
    running.send_signal(number)
    _, problem = running.communicate(timeout=30)
    assert running.returncode == status and problem == b"stopped\n"


def test_what_a_garbage_collector_s_callback_drops_is_not_shown(files, tmp_path, monkeypatch):
    program = tmp_path / "collecting.py"
    program.write_text("""
import gc, os, signal, time
from toy_engine import GRU4Rec as Toy

def callback(phase, info):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)

class GRU4Rec(Toy):
    def fit(self, *args, **kwargs):
        gc.callbacks.append(callback)
        gc.collect()
        gc.callbacks.remove(callback)
        super().fit(*args, **kwargs)
""")
    monkeypatch.setenv("TOY_SECONDS", "0")
    running = process(tmp_path, files["train"], "--engine", "collecting:GRU4Rec", "-s", "model",
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    _, problem = running.communicate(timeout=90)
    assert running.returncode == 143 and problem == b"stopped\n"


def test_a_second_signal_ends_a_command_at_once(files, tmp_path):
    program = tmp_path / "stubborn.py"
    program.write_text("import time\nfrom toy_engine import GRU4Rec as Toy\nclass GRU4Rec(Toy):\n"
                       "    def fit(self, *args, **kwargs):\n        while True:\n            try:\n"
                       "                time.sleep(60)\n            except KeyboardInterrupt:\n                pass\n")
    running = process(tmp_path, files["train"], "--engine", "stubborn:GRU4Rec", "-s", "model",
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    while b"on the CPU" not in running.stdout.readline():
        assert running.poll() is None
    time.sleep(0.2)
    running.send_signal(signal.SIGTERM)
    time.sleep(signals.PATIENCE + 0.5)
    assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    _, problem = running.communicate(timeout=10)
    assert running.returncode == 143 and problem == b"stopped at once\n"


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_is_gone_is_no_divergence(tmp_path, closed):
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ["--list-paramfiles"] if closed == "stdout" else ["no-such-file", "-s", "model"]
    with os.fdopen(writing, "wb") as gone:
        done = process(tmp_path, *arguments, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {closed: gone})
        other = done.communicate(timeout=60)[closed == "stdout"]
    assert done.returncode == 2 and (b"the reader of the output is gone" in other) == (closed == "stdout")


def test_an_error_of_many_lines_is_one(capsys, files, tmp_path, monkeypatch):
    def failing(gru, data, sample_store=10, *, resume=False, on_step=None, on_epoch_end=None):
        raise RuntimeError("XLA is out of words\n  at here\n  at there")

    monkeypatch.setattr(Toy, "fit", failing)
    assert cli.main([str(files["train"]), "--engine", TOY, "-s", str(tmp_path / "model")]) == 2
    assert capsys.readouterr().err == "error: XLA is out of words (--verbose shows 2 more lines)\n"


def test_an_empty_path_is_refused(capsys, files):
    for arguments in ([""], [str(files["train"]), "-s", ""], ["prepare", "rsc15", ""]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2 and "an empty name; a path is needed" in capsys.readouterr().err


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_completion_knows_every_command_and_its_options(capsys, shell):
    assert cli.main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*cli.COMMANDS, "param-file", "space", "quantiles", "yoochoose"):
        assert word in script
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


@pytest.mark.parametrize("command", ["", *(name for name in cli.COMMANDS if name != "train")])
def test_the_page_of_the_command_names_every_option(capsys, command):
    page = (ROOT / "docs" / "command.md").read_text().partition("## Every command and its options")[2]
    section = page.partition(f"### gru4rec {command or 'PATH'}\n")[2].partition("\n### ")[0]
    with pytest.raises(SystemExit):
        cli.main([*filter(None, [command]), "--help"])
    shown = capsys.readouterr().out
    missing = {word for word in re.findall(r"(?<![\w-])--?[a-z][\w-]*", shown) if word not in section}
    assert not missing, f"python docs/tables.py docs/command.md writes {sorted(missing)} there"
