"""Which lines of an engine a run executes: a recording that does not come past a mutant cannot tell it."""

import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def reached(files: Collection[str]) -> Iterator[dict[str, set[int]]]:
    """Within, every line of ``files`` that is executed is noted, by file. In every thread that starts within, too."""
    lines: dict[str, set[int]] = {file: set() for file in files}

    def on_call(frame: Any, event: str, argument: Any) -> Any:
        found = lines.get(frame.f_code.co_filename)
        if found is None:
            return None
        found.add(frame.f_lineno)

        def on_line(frame: Any, event: str, argument: Any) -> Any:
            found.add(frame.f_lineno)
            return on_line

        return on_line

    threading.settrace(on_call)
    sys.settrace(on_call)
    try:
        yield lines
    finally:
        sys.settrace(None)
        threading.settrace(None)
