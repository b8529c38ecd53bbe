"""GRU4Rec's options as texts and in files: one parser for every command. A file is data, and never executed.

What a value has to be is the engine's to say in the end; here it becomes one of the option's kind.
"""

import json
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gru4rec import files
from gru4rec.published import RSC15, SETTINGS, Params
from gru4rec.terminal import quoted, shortened

_LISTS = ("layers", "adapt_params")
_INTEGERS = ("n_epochs", "batch_size", "embedding", "n_sample", "dwell_time")
_TEXTS = ("loss", "final_act", "hidden_act", "adapt")
_FLAGS = ("constrained_embedding", "init_as_normal", "train_random_order", "time_sort")
_NUMBERS = (
    "dropout_p_hidden", "dropout_p_embed", "learning_rate", "momentum", "lmbd", "sample_alpha", "smoothing", "grad_cap",
    "bpreg", "sigma", "logq", "dwell_weight",
)  # fmt: skip
OPTIONS = (*_LISTS, *_INTEGERS, *_TEXTS, *_FLAGS, *_NUMBERS)
COLUMNS = ("session_key", "item_key", "time_key")
# the rest of the constructors: of the computation, and of one engine alone
_COMPUTING = ("dtype", "seed", "dropout_seed", "backend", "device", "steps_per_call", "jit_compile", "devices")
EVERY_OPTION = (*OPTIONS, *COLUMNS, *_COMPUTING)

_WHOLE = (*_INTEGERS, "seed", "dropout_seed", "steps_per_call", "devices")
_LARGEST, _MOST_DOTS = 2**16, 100  # bytes of a file of options, and dots in a line of it
_TRUTHS = {"True": True, "true": True, "1": True, "False": False, "false": False, "0": False}
_ACCEPTED = (
    dict.fromkeys(_NUMBERS, "a finite number of at least 0")
    | dict.fromkeys(_WHOLE, "a whole number of at least 0")
    | dict.fromkeys((*_FLAGS, "jit_compile"), "True or False")
    | dict.fromkeys(COLUMNS, "a column name")
    | dict.fromkeys(("dropout_p_hidden", "dropout_p_embed", "smoothing"), "a number with 0 <= value < 1")
    | dict.fromkeys(("batch_size", "steps_per_call", "devices"), "a whole number of at least 1")
    | {
        "layers": "a list of one or more whole numbers of at least 1",
        "adapt_params": "a list of numbers with 0 <= value < 1",
        "embedding": "a whole number of at least 0, or 'layersize',",
        "learning_rate": "a finite number above 0",
        "sample_alpha": "a finite number",
        "loss": "top1, bpr, cross-entropy, xe_logit, top1-max or bpr-max",
        "final_act": "linear, relu, tanh, leaky-X, elu-X, selu-X-Y, softmax or softmax_logit",
        "hidden_act": "linear, relu, tanh, leaky-X, elu-X or selu-X-Y",
        "adapt": "None, adagrad, rmsprop, adadelta or adam",
        "dtype": "float32 or float64",
        "seed": "a whole number from 0 to 4294967295",
        "dropout_seed": "a whole number from 1 to 2147462578",
        "backend": "c or jax",
        "device": "auto, cpu or gpu",
    }
)


Parse = Callable[[str, str], Any]  # the value of an option, by its name and its text


def parse(name: str, text: str, known: Iterable[str] = OPTIONS) -> Any:
    """The value of option ``name`` written as ``text``: lists as 100/50, booleans as True, 1, False or 0.

    Raises:
        ValueError: for a name that is not among ``known``, and for a text that does not fit the option's kind.
    """
    if name not in known:
        raise ValueError(f"{shortened(name)}: no option of GRU4Rec; {', '.join(known)} are accepted")
    try:
        return _parsed(name, text)
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"{name}={quoted(text)}: {_ACCEPTED[name]} is accepted") from None


def _parsed(name: str, text: str) -> Any:
    if name in _LISTS:
        return [_whole(part) if name == "layers" else _number(part) for part in text.split("/") if part.strip()]
    if name in _FLAGS or name == "jit_compile":
        return _TRUTHS[text]
    if name == "adapt" and text in ("", "None"):
        return None
    if name == "embedding" and text == "layersize":
        return text
    if name in _WHOLE:
        return _whole(text)
    return _number(text) if name in _NUMBERS else text


def _whole(text: str) -> int:
    """A float of a whole value is one, too."""
    if len(text) > 40:
        raise ValueError
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise ValueError from None
        return int(number)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def parse_pair(text: str, known: Iterable[str] = OPTIONS, parse_option: Parse | None = None) -> tuple[str, Any]:
    """``name=value``. Raises ValueError for any other form."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{shortened(text)}: name=value is needed, for example momentum=0.2")
    name, value = name.strip(), value.strip()
    return name, parse(name, value, known) if parse_option in (None, parse) else parse_option(name, value)


def from_pairs(option: str, texts: Iterable[str], known: Iterable[str] = EVERY_OPTION) -> Params:
    """``name=value`` texts; the last of a name wins. Raises ValueError naming the command's ``option``."""
    try:
        return dict(parse_pair(text, known) for text in texts)
    except ValueError as problem:
        raise ValueError(f"{option} {problem}") from None


def from_text(text: str, option: str = "-ps", parse_option: Parse = parse) -> Params:
    """``name=value,name=value``. Raises ValueError for another form, and for a name that stands there twice.

    parse_option: of the model whose options they are, GRU4Rec's where it is not said.
    """
    params: Params = {}
    _add_pairs(params, text, parse_option, option, f"{option} {shortened(text)}:")
    return params


def _add_pairs(params: Params, text: str, parse_option: Parse, place: str, twice: str) -> None:
    """Add ``name=value,name=value``; ``place`` and ``twice`` begin the errors of a bad one and of a repeated name."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            name, value = parse_pair(part, parse_option=parse_option)
        except ValueError as problem:
            raise ValueError(f"{place} {problem}") from None
        if name in params:
            raise ValueError(f"{twice} {name} stands there twice")
        params[name] = value


def from_file(path: Path, parse_option: Parse = parse) -> Params:
    """Options from a file, read by its suffix; ``parse_option`` as in :func:`from_text`.

    ``.toml`` or ``.json``: a table whose keys are options; else a text of name=value, one a line or split by commas,
    in which # begins a comment.

    Raises:
        ValueError: naming the file, and the line or the key that does not fit.
        OSError: where the file cannot be read.
    """
    if path.suffix.lower() == ".py":
        raise ValueError(f"{path}: a Python file is not executed; write the options as TOML")
    decoder = {".toml": ("TOML file", tomllib.loads), ".json": ("JSON file", json.loads)}.get(path.suffix.lower())
    text = files.read_text(path, most=_LARGEST)
    if decoder:
        _refuse_depth(path, text)
        params = _from_table(path, files.decoded(path, *decoder, text), parse_option)
    else:
        params = _from_lines(path, text, parse_option)
    if not params:
        raise ValueError(f"{path} sets no option")
    return params


def _refuse_depth(path: Path, text: str) -> None:
    """Raise ValueError for a line of a hundred dots: TOML's keys of many parts take memory by the square of them."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > _MOST_DOTS and not line.lstrip().startswith("#"):
            raise ValueError(f"{path}, line {number}: {line.count('.'):,} dots; a table of options has no nested keys")


def _from_lines(path: Path, text: str, parse_option: Parse) -> Params:
    params: Params = {}
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{path}, line {number}:"
        _add_pairs(params, line.partition("#")[0], parse_option, place, place)
    return params


def _from_table(path: Path, table: Any, parse_option: Parse) -> Params:
    """Options of a decoded table. A value is of the option's own kind, or a text as :func:`parse` takes it."""
    if not isinstance(table, dict):
        raise ValueError(f"{path}: a table of options is needed")
    try:
        return {name: parse_option(name, _as_text(name, value)) for name, value in table.items()}
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, str) or name not in OPTIONS:
        return str(value)
    if name in _LISTS and isinstance(value, list) and all(map(_is_number, value)):
        return "/".join(map(str, value))
    fits = _is_number(value) if name in _INTEGERS + _NUMBERS + ("layers",) else name in _FLAGS and value in (0, 1)
    if fits or (name == "adapt" and value is None):
        return str(value)
    raise ValueError(f"{name}={shortened(repr(value))}: {_ACCEPTED[name]} is accepted")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def by_name_or_file(name: str, option: str = "-pf") -> Params:
    """The options of a file, or published settings by their name."""
    path = Path(name)
    if path.is_file():
        return from_file(path)
    if name not in SETTINGS:
        raise ValueError(f"{option} {name}: neither a file nor one of {', '.join(SETTINGS)}")
    return dict(SETTINGS[name].params)


def choose(names: Iterable[str]) -> dict[str, Params]:
    """Settings by name: those of :data:`RSC15`, ``all`` of them, or a file of settings by its path."""
    chosen: dict[str, Params] = {}
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
