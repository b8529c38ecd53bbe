"""Files that are either whole or not there."""

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Iterator, Mapping


@contextmanager
def written_together(paths: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Give a temporary path for each of ``paths``; move them all into place at the end of the block.

    The temporary files lie beside their targets, so that the move is a rename. When the block raises, they are deleted
    and whatever stood at the targets stays. Folders that are missing are made.
    """
    temporary = {name: path.with_name(f".{path.name}.{os.getpid()}.part") for name, path in paths.items()}
    for path in paths.values():
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder; a file is to be written there")
    with ExitStack() as cleanup:
        for name, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            cleanup.callback(temporary[name].unlink, missing_ok=True)
        yield temporary
        for name, path in paths.items():
            os.replace(temporary[name], path)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """:func:`written_together` for one file."""
    with written_together({"file": path}) as temporary:
        yield temporary["file"]
