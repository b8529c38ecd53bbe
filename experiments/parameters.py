"""Options of a model from the command line and from files: ``-ps name=value,...`` and ``-pf FILE``."""

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Mapping

from parity import settings

Params = dict[str, Any]


@dataclass(frozen=True)
class Shipped:
    """Settings that come with the package. about: the data they were published for."""

    about: str
    params: Params


def shipped() -> dict[str, Shipped]:
    """Every settings that ``-pf`` takes by name: the files of ``paramfiles/``, and those published for RSC15 in 2016
    and 2018, which need neither logq nor more than 100 units.
    """
    found = {}
    for file in sorted(files("experiments").joinpath("paramfiles").iterdir(), key=lambda file: file.name):
        with_comment = file.read_text(encoding="utf-8")
        found[file.name.removesuffix(".toml")] = Shipped(
            with_comment.partition("\n")[0].removeprefix("# "), settings.from_file(Path(str(file)))
        )
    papers = {"top1": "arXiv 1511.06939"}
    return found | {
        name: Shipped(f"RSC15, {papers.get(name, 'arXiv 1706.03847')}", dict(params))
        for name, params in settings.RSC15.items()
    }


def choose(file: str | None, text: str | None) -> Params:
    """The options of ``-pf FILE``, then those of ``-ps``, which win. Raises ValueError for any that is not accepted."""
    return (from_file(file) if file else {}) | (from_text(text) if text else {})


def from_file(name: str) -> Params:
    """The options of a file, or of shipped settings by their name."""
    path = Path(name)
    if path.is_file():
        if path.suffix == ".py":
            raise ValueError(f"-pf {name}: a Python file is not executed; write the options as TOML, or take one of "
                             f"{', '.join(shipped())}")  # fmt: skip
        return settings.from_file(path)
    if name not in (known := shipped()):
        raise ValueError(f"-pf {name}: neither a file nor one of {', '.join(known)}")
    return known[name].params


def from_text(text: str) -> Params:
    """``name=value,name=value``; lists as 100/50, booleans as True, 1, False or 0."""
    params = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            name, value = settings.parse_pair(part)
        except ValueError as problem:
            raise ValueError(f"-ps {problem}") from None
        if name in params:
            raise ValueError(f"-ps {text}: {name} stands there twice")
        params[name] = value
    return params


def as_text(value: Any) -> str:
    """A value as ``-ps`` takes it, numbers in 12 digits at most."""
    if isinstance(value, (list, tuple)):
        return "/".join(map(as_text, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def in_words(params: Mapping[str, Any]) -> str:
    """All of them as ``-ps`` takes them."""
    return ",".join(f"{name}={as_text(value)}" for name, value in params.items())


def to_toml(params: Mapping[str, Any], *comments: str) -> str:
    """A parameter file for ``-pf``, comments first."""
    lines = [f"# {line}" for comment in comments for line in comment.splitlines()]
    # JSON's texts, numbers, lists and booleans are TOML's too; TOML has no null, and '' is plain SGD as well
    lines += [f"{name} = {json.dumps('' if value is None else value)}" for name, value in params.items()]
    return "\n".join(lines) + "\n"
