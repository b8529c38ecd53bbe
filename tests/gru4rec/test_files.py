"""Files that are whole or not there, and paths that are compared before any work."""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gru4rec import files

ROOT = Path(__file__).parents[2]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "results.json"
    files.write_text(path, "old")
    with pytest.raises(OSError, match="disk full"), files.written_whole(path) as temporary:
        temporary.write_text("half of the new")
        assert path.read_text() == "old"
        raise OSError("disk full")
    assert names(tmp_path) == ["results.json"] and path.read_text() == "old"
    files.write_text(path, "new")
    assert names(tmp_path) == ["results.json"] and path.read_text() == "new"


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_mode_is_that_of_umask_and_a_file_that_is_there_keeps_its_own(tmp_path, umask, mode):
    path = tmp_path / "file"
    before = os.umask(umask)
    try:
        files.write_text(path, "new")
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.chmod(0o640)
        files.write_text(path, "again")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_content_and_names_are_flushed_before_and_after_the_rename(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(os.path.isdir(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *paths: (seen.append("replaced"), replace(*paths)))
    files.write_text(path, "new")
    assert seen == [False, "replaced", True]


def in_a_process(program, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60)


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_has_is_not(tmp_path):
    path = tmp_path / "model"
    killed = in_a_process(
        """
        import os, signal, sys
        from pathlib import Path
        from gru4rec import files
        with files.written_whole(Path(sys.argv[1])) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        path,
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    with files.written_whole(path) as running:
        running.write_text("whole")
        assert left not in names(tmp_path)
        files.write_text(path, "another's")
        assert running.exists()
    assert names(tmp_path) == ["model"] and path.read_text() == "whole"


def test_a_set_of_files_killed_between_its_renames_is_no_mixture(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text("old")
    in_a_process(
        """
        import os, signal, sys
        from pathlib import Path
        from gru4rec import files
        replace = os.replace
        def once(temporary, path):
            replace(temporary, path)
            if Path(path).name != files.UNFINISHED:
                os.kill(os.getpid(), signal.SIGKILL)
        os.replace = once
        with files.written_together({path: Path(path) for path in sys.argv[1:]}) as temporary:
            for each in temporary.values():
                each.write_text("new")
        """,
        *paths,
    )
    assert [path.read_text() for path in paths if path.exists()] == ["new"]
    for path in paths:
        with pytest.raises(ValueError, match=f"{path}: its folder is unfinished, the process that wrote a, b, c was"):
            files.check_finished(path)
    with files.written_together({path.name: path for path in paths}) as temporary:
        for each in temporary.values():
            each.write_text("newer")
    assert names(tmp_path) == ["a", "b", "c"] and {path.read_text() for path in paths} == {"newer"}
    for path in paths:
        files.check_finished(path)


def test_json_has_no_nan(tmp_path):
    path = tmp_path / "file.json"
    files.write_json(path, {"loss": float("nan"), "all": [1.5, float("inf"), {"x": (2.5, -float("inf"))}]})
    assert "NaN" not in path.read_text()
    assert json.loads(path.read_text()) == {"loss": None, "all": [1.5, None, {"x": [2.5, None]}]}


@pytest.fixture
def there(tmp_path):
    path = tmp_path / "there"
    path.write_text("mine")
    return path


@pytest.mark.parametrize("name", ["there", "x/../there", "symbolic", "hard", "folder/there"])
def test_an_output_that_is_an_input_is_refused_by_whatever_name(tmp_path, there, name):
    (tmp_path / "x").mkdir()
    (tmp_path / "symbolic").symlink_to(there)
    (tmp_path / "hard").hardlink_to(there)
    (tmp_path / "folder").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="-o .*: this file is read, by -t"):
        files.check_outputs([("-o", tmp_path / name)], [("PATH", None), ("-t", there)])


def test_two_outputs_are_not_one_file(tmp_path):
    (tmp_path / "folder").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="-o .*: this file is written too, by -s"):
        files.check_outputs([("-s", tmp_path / "new"), ("-o", tmp_path / "folder" / "new")], [])
    files.check_outputs([("-s", tmp_path / "new"), ("-o", tmp_path / "newer")], [])


def test_what_is_no_regular_file_is_not_replaced(tmp_path, there):
    link = tmp_path / "link"
    link.symlink_to(there)
    for path, message in (
        (link, "is a link"),
        (Path("/dev/null"), "is no regular file"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises((ValueError, OSError), match=f"-o: .*{message}"):
            files.check_outputs([("-o", path)], [])
        with pytest.raises((ValueError, OSError), match=message):
            files.write_text(path, "new")
    assert there.read_text() == "mine" and link.is_symlink()


def test_the_folder_of_an_output_has_to_be_there(tmp_path, there):
    with pytest.raises(FileNotFoundError, match="-o: there is no folder .*missing"):
        files.check_outputs([("-o", tmp_path / "missing" / "file")], [])
    with pytest.raises(NotADirectoryError, match="-o: .*there is no folder$"):
        files.check_outputs([("-o", there / "file")], [])


@pytest.mark.parametrize(
    "content, message",
    [
        (b"[" * 100_000, "is no results file: it is nested too deeply"),
        (b"{", "is no results file: Expecting"),
        (b'{\n"a": "\xff"}', ", line 2: no text in UTF-8"),
    ],
)
def test_a_json_file_that_is_none_is_named(tmp_path, content, message):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(ValueError) as problem:
        files.read_json(path, "results file")
    assert str(problem.value).startswith(str(path)) and message in str(problem.value)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "file.toml"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="more than 67,108,864 bytes"):
        files.read_text(path)


@pytest.mark.parametrize("kind, message", [
    ("missing", "-t: there is no file"), ("folder", "-t: .* is a folder: a file is needed"),
    ("fifo", "-t: .* is no regular file"), ("/dev/null", "-t: /dev/null is no regular file"),
])  # fmt: skip
def test_an_input_that_is_no_file_is_refused_by_its_option(tmp_path, kind, message):
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)  # reading it would wait for ever
    with pytest.raises((ValueError, OSError), match=message):
        files.check_inputs([("PATH", None), ("-t", path)])


def test_an_error_of_writing_names_the_file(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("old")
    done = in_a_process(
        """
        import resource, sys
        from pathlib import Path
        from gru4rec import files
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            files.write_text(Path(sys.argv[1]), "x" * 5000)
        except OSError as problem:
            sys.exit(0 if problem.strerror == f"{sys.argv[1]} cannot be written: File too large" else 3)
        """,
        path,
    )
    assert done.returncode == 0 and path.read_text() == "old" and names(tmp_path) == ["results.json"]
