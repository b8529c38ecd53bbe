"""Files that are either whole or not there, and paths that are compared before any work."""

import hashlib
import json
import math
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # no file locks on this system: left-over files then stay
    fcntl = None  # type: ignore[assignment]  # Windows has none

SUFFIX = ".part"
UNFINISHED = ".unfinished.json"
_OF_POLARS = re.compile(r"\(os error (\d+)\)")  # an error of writing, which names its number in words alone
_SCRATCH, _LOCK = ".gru4rec-scratch-", "lock"


@contextmanager
def written_together(paths: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Give a temporary path for each of ``paths``; move them all into place at the end of the block.

    The temporary files lie beside their targets, under names that no other process has, whatever host it runs on. They
    are flushed to the disk before they are renamed, and get the mode of the file they replace, else what umask gives.
    When the block raises they are deleted, and whatever stood at the targets stays. Of several files all old ones go
    before the first new one comes, so that a kill in between leaves no mixture. Temporary files of killed processes are
    removed. Folders that are missing are made. While several are put in place, a file :data:`UNFINISHED` says so, and
    :func:`check_finished` knows it: they are there together or not at all.

    Raises:
        OSError: where a target is a folder, a link or no regular file, or cannot be written.
    """
    for path in paths.values():
        check_replaceable(path)
    several = len(paths) > 1
    where = next(iter(paths.values()))
    with naming(where.parent if several else where), ExitStack() as cleanup:
        temporary = {}
        for name, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_left_over(path)
            temporary[name] = cleanup.enter_context(_temporary_file(path))
        yield temporary
        for name, path in paths.items():
            os.chmod(temporary[name], _mode(path))
            _flush(temporary[name])
        folders = {path.parent for path in paths.values()}
        if several:
            for folder in folders:
                names = [path.name for path in paths.values() if path.parent == folder]
                write_json(folder / UNFINISHED, {"unfinished": sorted({*names, *unfinished(folder)})})
            for path in paths.values():
                path.unlink(missing_ok=True)
        for name, path in paths.items():
            os.replace(temporary[name], path)
        for folder in folders:
            _flush(folder)
            if several:
                (folder / UNFINISHED).unlink()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name ``path`` in an error of writing, as of a full disk, which does not say itself of which file it is."""
    try:
        yield
    except Exception as problem:
        # Looked up, not imported: what writes no Parquet runs without Polars.
        polars = getattr(sys.modules.get("polars"), "exceptions", None)
        if not isinstance(problem, (OSError, *([polars.PolarsError] if polars else []))):
            raise
        number = getattr(problem, "errno", None)
        if number is None and (found := _OF_POLARS.search(str(problem))):
            number = int(found[1])
        named = getattr(problem, "filename", None)
        if number is None or (named is not None and SUFFIX not in os.fspath(named)):
            raise
        raise OSError(number, f"{path} cannot be written: {os.strerror(number)}") from problem


def unfinished(folder: Path) -> list[str]:
    """The names of the files of a folder that a killed process was putting in place together."""
    marker = folder / UNFINISHED
    if not marker.is_file():
        return []
    try:
        return [str(name) for name in read_json(marker, "list of names")["unfinished"]]
    except (ValueError, OSError, KeyError, TypeError):
        return []


def check_finished(path: Path) -> None:
    """Raise ValueError for one of several files that were to be there together, and are not."""
    names = unfinished(path.parent)
    if path.name in names:
        raise ValueError(f"{path}: its folder is unfinished, the process that wrote {', '.join(names)} was ended; make "
                         "them again")  # fmt: skip


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """:func:`written_together` for one file."""
    with written_together({"file": path}) as temporary:
        yield temporary["file"]


def write_text(path: Path, text: str) -> None:
    """Replace a file of text as a whole. What is no UTF-8, as in odd file names, is written with backslashes."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file as a whole. JSON has no NaN and no infinity: null stands for both."""
    write_text(path, json.dumps(finite(value), indent=1, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """JSON values, in which null stands for NaN and for infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return value


@contextmanager
def _temporary_file(path: Path) -> Iterator[Path]:
    """A new file beside ``path``, locked for as long as this process is at it; deleted at the end if it is there."""
    while True:
        descriptor, name = tempfile.mkstemp(SUFFIX, _prefix(path), path.parent)
        _lock(descriptor)
        if Path(name).exists():  # no other process took it for a left-over before it was locked
            break
        os.close(descriptor)
    try:
        yield Path(name)
    finally:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A new folder within ``folder`` for what is of no use later; gone at the end of the block.

    Those that killed processes left behind are removed.
    """
    for name in os.listdir(folder):
        lock = folder / name / _LOCK
        if name.startswith(_SCRATCH) and _is_free(lock):
            shutil.rmtree(folder / name, ignore_errors=True)
    made = tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder, ignore_cleanup_errors=True)
    with made as scratch, open(Path(scratch) / _LOCK, "wb") as lock_file:
        _lock(lock_file.fileno())
        yield Path(scratch)


def _is_free(lock: Path) -> bool:
    """Whether the process is gone that locked this file."""
    try:
        with lock.open("rb+") as file:
            return _lock(file.fileno())
    except OSError:
        return False


def _prefix(path: Path) -> str:
    return f".{path.name[:100]}."


def _lock(descriptor: int) -> bool:
    """Whether the file is now locked by this process: where it is not, another one is at work on it."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_left_over(path: Path) -> None:
    """Delete the temporary files of ``path`` that nobody holds any more, since their process was killed."""
    prefix = _prefix(path)
    for name in os.listdir(path.parent):
        if not (name.startswith(prefix) and name.endswith(SUFFIX)):
            continue
        try:
            descriptor = os.open(path.parent / name, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            continue
        try:
            if _lock(descriptor):
                (path.parent / name).unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _mode(path: Path) -> int:
    """Of the file that is there, else what umask leaves of 0666."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _flush(path: Path) -> None:
    """Have a file, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def check_replaceable(path: Path) -> None:
    """Raise OSError or ValueError where a file may not be put in the place of what stands at ``path``."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder: a file's name is needed")
    if stat.S_ISLNK(mode):
        raise ValueError(f"{path} is a link: the name of a file itself is needed")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is no regular file: it would be replaced by one")


Named = Iterable[tuple[str, Path | None]]  # a command's option, and the path that it gives


def check_inputs(inputs: Named) -> None:
    """Raise OSError or ValueError, naming the option, for what is no file that can be read. None is none."""
    for option, path in inputs:
        if not path:
            continue
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(f"{option}: {path} is a folder: a file is needed")
            if not stat.S_ISREG(mode):
                raise ValueError(f"{option}: {path} is no regular file")
            path.open("rb").close()
        except FileNotFoundError:
            raise FileNotFoundError(f"{option}: there is no file {path}") from None
        except OSError as problem:
            if problem.errno is None:
                raise
            raise type(problem)(f"{option}: {path} cannot be read: {problem.strerror}") from None


def check_outputs(outputs: Named, inputs: Named) -> None:
    """Compare paths before any work.

    Args:
        outputs: the files that are to be written.
        inputs: the files that are read.

    Raises:
        ValueError: where an output is an input, or another output, by whatever name or link.
        OSError: where an output cannot be written: no such folder, no right to write there, no regular file.
    """
    seen = [(option, path, "is read") for option, path in inputs if path]
    for option, path in outputs:
        if not path:
            continue
        for other, earlier, what in seen:
            if same_file(path, earlier):
                raise ValueError(f"{option} {path}: this file {what}, by {other} {earlier}; give another name")
        seen.append((option, path, "is written too"))
        try:
            check_replaceable(path)
        except (ValueError, OSError) as problem:
            raise type(problem)(f"{option}: {problem}") from None
        check_folder(option, path.parent)


def same_file(one: Path, other: Path) -> bool:
    """Whether two names lead to one file, be it there or not."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def check_folder(option: str, folder: Path) -> None:
    """Raise OSError for a folder that is not there, or that no file can be made in."""
    if not folder.exists():
        raise FileNotFoundError(f"{option}: there is no folder {folder}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{option}: {folder} is no folder")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        raise type(problem)(f"{option}: no file can be made in {folder}: {problem.strerror or problem}") from None


def make_folder(option: str, folder: Path) -> None:
    """Make a folder where there is none. Raises OSError where that fails, or where no file can be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise type(problem)(f"{option}: {folder} cannot be made: {problem.strerror or problem}") from None
    check_folder(option, folder)


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file. Raises ValueError naming the file, and ``what`` it should be, for anything else."""
    return decoded(path, what, json.loads, read_text(path))


def read_text(path: Path, most: int = 64 * 2**20) -> str:
    """A text of at most ``most`` bytes, in UTF-8. Raises ValueError naming the file, OSError where it can't be read."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path}: more than {most:,} bytes; a file of this kind is smaller")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise ValueError(f"{path}, line {line}: no text in UTF-8") from None


def decoded(path: Path, what: str, decode: Any, text: str) -> Any:
    """``decode(text)``. Raises ValueError naming the file where the text is none of the kind, or too deeply nested."""
    try:
        return decode(text)
    except RecursionError:
        raise ValueError(f"{path} is no {what}: it is nested too deeply") from None
    except ValueError as problem:
        raise ValueError(f"{path} is no {what}: {str(problem)[:200]}") from None


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
