"""The space that is searched: a JSON file with an object for each parameter.

``{"name": "learning_rate", "dtype": "float", "values": [0.01, 0.25], "step": 0.005}``: dtype int or float takes the
lowest and the highest value, and either ``step`` or ``"log": true`` if wanted; dtype categorical takes a list of all
values, in which lists stand as [100, 50] or "100/50". The objects stand one a line, or in a JSON list.
"""

import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from gru4rec import files, options
from gru4rec.baselines.options import Table
from gru4rec.options import OPTIONS, as_text
from gru4rec.published import Params
from gru4rec.terminal import quoted, shortened

_KEYS = ("name", "dtype", "values", "step", "log")
Distribution = CategoricalDistribution | IntDistribution | FloatDistribution
_RANGES: dict[str, Callable[..., Distribution]] = {"int": IntDistribution, "float": FloatDistribution}


@dataclass(frozen=True)
class Parameter:
    """A constructor option of GRU4Rec, or of a baseline, and the values that it may take."""

    name: str
    distribution: Distribution
    parse: options.Parse = options.parse

    def ends(self) -> list[Any]:
        """All categories, or the lowest and the highest value, as the option takes them."""
        d = self.distribution
        values = d.choices if isinstance(d, CategoricalDistribution) else dict.fromkeys((d.low, d.high))
        return [self.option(value) for value in values]

    def option(self, value: Any) -> Any:
        """The option's value for one that Optuna gives. Raises ValueError where it does not fit the option."""
        return self.parse(self.name, as_text(value))

    def suggest(self, trial: optuna.Trial) -> Any:
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return self.option(trial.suggest_categorical(self.name, d.choices))
        if isinstance(d, IntDistribution):
            return self.option(trial.suggest_int(self.name, d.low, d.high, step=d.step, log=d.log))
        return self.option(trial.suggest_float(self.name, d.low, d.high, step=d.step, log=d.log))


@dataclass(frozen=True)
class Space:
    """Parameters that a study varies, in the order of their file."""

    parameters: tuple[Parameter, ...]

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.parameters]

    def suggest(self, trial: optuna.Trial) -> Params:
        """Options of the model for a new trial."""
        return {each.name: each.suggest(trial) for each in self.parameters}

    def options(self, values: dict[str, Any]) -> Params:
        """Options of the model for the values of a trial that has been."""
        return {each.name: each.option(values[each.name]) for each in self.parameters}

    def as_json(self) -> dict[str, str]:
        """Distribution of each parameter, to tell whether two spaces are the same."""
        return {each.name: optuna.distributions.distribution_to_json(each.distribution) for each in self.parameters}

    def check(self, create: Callable[[Params], Any]) -> None:
        """Try ``create`` with every pair of :meth:`Parameter.ends`, the other parameters at their first.

        Raises ValueError naming the pair that it does not accept.
        """
        first = {each.name: each.ends()[0] for each in self.parameters}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pairs, which a search tries on purpose
            for values in _pairs(self.parameters):
                try:
                    create(first | values)
                except ValueError as problem:
                    words = ", ".join(f"{name}={as_text(value)}" for name, value in values.items())
                    raise ValueError(f"the space holds {words}, which the model does not accept: {problem}") from None


def _pairs(parameters: tuple[Parameter, ...]) -> Iterator[Params]:
    for group in itertools.combinations(parameters, min(2, len(parameters))):
        names = [each.name for each in group]
        for values in itertools.product(*(each.ends() for each in group)):
            yield dict(zip(names, values))


def read(path: Path, known: Table | None = None) -> Space:
    """A space from a file, of the options ``known``, GRU4Rec's where it is not said.

    Raises ValueError naming the file and what does not fit, OSError where it can't be read.
    """
    text = files.read_text(path, most=2**20)
    try:
        parameters = [_parameter(entry, known) for entry in _objects(text)]
    except RecursionError:
        raise ValueError(f"{path}: it is nested too deeply") from None
    except ValueError as problem:  # of the decoders too
        raise ValueError(f"{path}: {problem}") from None
    if not parameters:
        raise ValueError(f"{path} holds no parameter")
    names = [each.name for each in parameters]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}: {twice[0]} stands there twice")
    return Space(tuple(parameters))


def _objects(text: str) -> Iterator[Any]:
    if text.lstrip().startswith("["):
        yield from json.loads(text)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as problem:
                raise ValueError(f"line {number} is no JSON object: {problem}") from None


def of_baseline(known: Table, entries: Iterable[dict[str, Any]]) -> Space:
    """A space from the objects that a file would hold."""
    return Space(tuple(_parameter(entry, known) for entry in entries))


def _parameter(entry: Any, known: Table | None) -> Parameter:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ValueError(f"{shortened(json.dumps(entry))}: an object with name, dtype and values is needed")
    name = entry["name"]
    model, names = "GRU4Rec", tuple(OPTIONS)
    parse: options.Parse = options.parse
    if known is not None:
        model, names, parse = known.model, known.names, known.parse
    if name not in names:
        raise ValueError(f"name={quoted(name)}: no option of {model}; {', '.join(names)} are accepted")
    if unknown := [key for key in entry if key not in _KEYS]:
        raise ValueError(f"{name}: unknown key {quoted(unknown[0])}; {', '.join(_KEYS)} are accepted")
    parameter = Parameter(name, _distribution(name, entry), parse)
    parameter.ends()  # raises for a value of another kind than the option's
    return parameter


def _distribution(name: str, entry: dict[str, Any]) -> Distribution:
    dtype, values = entry.get("dtype"), entry.get("values")
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name}: values={shortened(json.dumps(values))}: a list is needed")
    if dtype == "categorical":
        if "step" in entry or "log" in entry:
            raise ValueError(f"{name}: step and log go with int and float, not with categorical")
        if any(isinstance(value, dict) for value in values):
            raise ValueError(f"{name}: values={shortened(json.dumps(values))}: values of the option are needed")
        return CategoricalDistribution([as_text(value) if isinstance(value, list) else value for value in values])
    if not isinstance(dtype, str) or dtype not in _RANGES:
        raise ValueError(f"{name}: dtype={shortened(json.dumps(dtype))}: int, float or categorical is accepted")
    accepted = int if dtype == "int" else (int, float)
    step, log = entry.get("step"), entry.get("log", False)
    if len(values) != 2 or not all(_is_number(value, accepted) for value in values):
        shown = shortened(json.dumps(values))
        raise ValueError(f"{name}: values={shown}: the lowest and the highest {dtype} are needed")
    if not isinstance(log, bool):
        raise ValueError(f"{name}: log={shortened(json.dumps(log))}: true or false is accepted")
    if step is not None and not (_is_number(step, accepted) and step > 0):
        shown = shortened(json.dumps(step))
        raise ValueError(f"{name}: step={shown}: a number above 0 is accepted, for int a whole one")
    made: dict[str, Any] = {} if step is None else {"step": step}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a step that does not lead from the lowest to the highest value
            return _RANGES[dtype](*values, log=log, **made)
    except ArithmeticError:
        raise ValueError(f"{name}: step={step!r} does not lead from {values[0]!r} to {values[1]!r}") from None
    except (ValueError, UserWarning) as problem:
        raise ValueError(f"{name}: {str(problem)[:200] or type(problem).__name__}") from None


def _is_number(value: Any, accepted: Any) -> bool:
    """A finite one of a size that numbers of an option may have."""
    return isinstance(value, accepted) and not isinstance(value, bool) and abs(value) < 1e300
