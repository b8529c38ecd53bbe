"""What a user of the harness has before it starts: engines as modules of his own, data as files, a command line."""

import argparse
import sys
from types import ModuleType


def run(command, *arguments):
    """The exit status of a module of ``parity.commands``, without the rest of the command line."""
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    options = parser.parse_args([*map(str, arguments)])
    return options.execute(options)


def write(dataset, folder):
    """{"train": path, "test": path} of the data as tab separated texts."""
    paths = {name: folder / f"{name}.txt" for name in ("train", "test")}
    for name, path in paths.items():
        getattr(dataset, name).to_csv(path, sep="\t", index=False)
    return paths


def make_modules(monkeypatch, **classes):
    """Each class importable as ``NAME:GRU4Rec``."""
    for name, cls in classes.items():
        module = ModuleType(name)
        module.GRU4Rec = cls
        monkeypatch.setitem(sys.modules, name, module)
