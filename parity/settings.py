"""The published RSC15 settings, and settings from a file or the command line. A file is data, and never executed."""

import json
import tomllib
from pathlib import Path
from typing import Any

_COMMON = dict(hidden_act="tanh", layers=[100], adapt="adagrad", n_epochs=10)
_SAMPLED = _COMMON | dict(batch_size=32, n_sample=2048, sample_alpha=0.0)
_BPR_MAX = _SAMPLED | dict(loss="bpr-max", final_act="elu-0.5", learning_rate=0.2)

# The settings published for RSC15: three with arXiv 1706.03847, the last with arXiv 1511.06939.
RSC15: dict[str, dict[str, Any]] = {
    "bpr-max": _BPR_MAX | dict(momentum=0.3, bpreg=1.0),
    "bpr-max-constrained": _BPR_MAX | dict(momentum=0.1, bpreg=0.5, constrained_embedding=True),
    "cross-entropy": _SAMPLED
    | dict(loss="cross-entropy", final_act="softmax", dropout_p_hidden=0.3, learning_rate=0.1, momentum=0.7),
    "top1": _COMMON
    | dict(loss="top1", final_act="tanh", batch_size=50, dropout_p_hidden=0.5, learning_rate=0.01)
    | dict(momentum=0.0, n_sample=0, time_sort=False),
}

_LISTS = ("layers", "adapt_params")
_INTEGERS = ("n_epochs", "batch_size", "embedding", "n_sample", "dwell_time")
_TEXTS = ("loss", "final_act", "hidden_act", "adapt")
_FLAGS = ("constrained_embedding", "init_as_normal", "train_random_order", "time_sort")
_NUMBERS = (
    "dropout_p_hidden", "dropout_p_embed", "learning_rate", "momentum", "lmbd", "sample_alpha", "smoothing", "grad_cap",
    "bpreg", "sigma", "logq", "dwell_weight",
)  # fmt: skip
OPTIONS = (*_LISTS, *_INTEGERS, *_TEXTS, *_FLAGS, *_NUMBERS)
_ACCEPTED = (
    dict.fromkeys(_LISTS, "numbers split by /")
    | dict.fromkeys(_INTEGERS, "a whole number")
    | dict.fromkeys(_TEXTS, "a name")
    | dict.fromkeys(_FLAGS, "True, 1, False or 0")
    | dict.fromkeys(_NUMBERS, "a number")
    | {"embedding": "a whole number or layersize"}
)


def parse(name: str, text: str) -> Any:
    """The value of option ``name`` written as ``text``: lists as 100/50, booleans as True, 1, False or 0.

    Raises ValueError for an unknown name or a text that does not fit.
    """
    if name not in OPTIONS:
        raise ValueError(f"{name}={text}: unknown option; {', '.join(OPTIONS)} are accepted")
    try:
        if name in _LISTS:
            return [int(part) if name == "layers" else float(part) for part in text.split("/") if part]
        if name in _FLAGS:
            return {"True": True, "1": True, "False": False, "0": False}[text]
        if name in _TEXTS:
            return None if name == "adapt" and text in ("", "None") else text
        if name == "embedding" and text == "layersize":
            return text
        return int(text) if name in _INTEGERS else float(text)
    except (KeyError, ValueError):
        raise ValueError(f"{name}={text}: {_ACCEPTED[name]} is accepted") from None


def parse_pair(text: str) -> tuple[str, Any]:
    """``name=value``. Raises ValueError for any other form."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text}: name=value is needed, for example momentum=0.2")
    return name.strip(), parse(name.strip(), value.strip())


def from_file(path: Path) -> dict[str, Any]:
    """Options from a file, by its suffix: ``.toml`` or ``.json``, a table whose keys are options; else a text of
    name=value, one a line or split by commas, in which # begins a comment.

    Raises ValueError naming the file and the line or the key that does not fit, OSError where it cannot be read.
    """
    read = {".toml": tomllib.loads, ".json": json.loads}.get(path.suffix.lower())
    try:
        text = path.read_text(encoding="utf-8")
        params = _from_table(read(text)) if read else _from_lines(text)
    except ValueError as problem:  # of a decoder too: UTF-8, TOML, JSON
        raise ValueError(f"{path}: {problem}") from None
    if not params:
        raise ValueError(f"{path} sets no option")
    return params


def _from_lines(text: str) -> dict[str, Any]:
    params = {}
    for number, line in enumerate(text.splitlines(), 1):
        for part in filter(None, (part.strip() for part in line.partition("#")[0].split(","))):
            try:
                name, value = parse_pair(part)
            except ValueError as problem:
                raise ValueError(f"line {number}: {problem}") from None
            params[name] = value
    return params


def _from_table(table: Any) -> dict[str, Any]:
    """Options of a decoded table. A value is of the option's own kind, or a text as :func:`parse` takes it."""
    if not isinstance(table, dict):
        raise ValueError(f"{table!r}: a table of options is needed")
    return {name: parse(name, _as_text(name, value)) for name, value in table.items()}


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, str) or name not in OPTIONS:
        return str(value)
    if name in _LISTS and isinstance(value, list):
        return "/".join(map(str, value))
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = is_number if name in _INTEGERS + _NUMBERS else name in _FLAGS and value in (0, 1)
    if fits or (name == "adapt" and value is None):
        return str(value)
    raise ValueError(f"{name}={value!r}: {_ACCEPTED[name]} is accepted")


def choose(names: list[str]) -> dict[str, dict[str, Any]]:
    """Settings by name: those of :data:`RSC15`, ``all`` of them, or a file of settings by its path."""
    chosen = {}
    for name in names:
        if name == "all":
            chosen |= RSC15
        elif name in RSC15:
            chosen[name] = RSC15[name]
        elif Path(name).is_file():
            chosen[Path(name).stem] = from_file(Path(name))
        else:
            raise ValueError(f"--config {name}: {', '.join(RSC15)}, all, or a file of settings is accepted")
    return chosen
