"""Arguments that commands share, under the names that users of the published programs know."""

import argparse
from pathlib import Path
from typing import Any

from gru4rec import baselines, engines, environment, frames, hosts, metrics, models, options
from gru4rec.frames import Columns, EventFile
from gru4rec.models import Maker
from gru4rec.published import Params
from gru4rec.training import SAMPLE_STORE

DEFAULT_ENGINE = "keras"
# of the options that are refused where they have no use: None until then
DEFAULTS = {"dtype": "float32", "seed": 42, "sample_store": SAMPLE_STORE, "eval_type": metrics.DEFAULT_MODE}
DTYPES = ("float32", "float64")
EXIT_STATUS = (
    "Exit status: 0 done, 1 the training diverged (what was saved is its last good epoch), 2 bad input or could not\n"
    "run, 130 interrupted by Ctrl-C, 143 by SIGTERM; a second signal ends the command at once."
)


class _Parser(argparse.ArgumentParser):
    """A parser, whose commands' too, to which no path is an empty name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"allow_abbrev": False})
        self.register("type", Path, _path)


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty name; a path is needed")
    return Path(text)


def make_parser(
    prog: str, description: str, epilog: str = "", exit_status: str = EXIT_STATUS, **more: Any
) -> argparse.ArgumentParser:
    """A parser with what every command has. The exit statuses stand at the end of its help."""
    made = _Parser(
        prog=prog,
        description=description,
        epilog=f"{epilog.strip()}\n\n{exit_status}" if epilog else exit_status,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **more,
    )
    made.add_argument("--version", action="version", version=f"gru4rec {environment.own_version()}")
    made.add_argument("--verbose", action="store_true", help="show the log, and tracebacks of errors")
    return made


def not_negative(text: str) -> int:
    """Of an argument."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of at least 0 is accepted")
    return int(text)


def positive(text: str) -> int:
    """Of an argument."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of at least 1 is accepted")
    return value


def add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("model to train")
    model.add_argument(
        "-ps", "--params", metavar="NAME=VALUE,...", help="options of the model; lists as 100/50; they win over -pf"
    )
    model.add_argument(
        "-pf", "--param-file", metavar="FILE", help="options from a TOML, JSON or text file, or published ones by name"
    )
    model.add_argument("--dtype", choices=DTYPES, help=f"default: {DEFAULTS['dtype']}")
    model.add_argument(
        "--seed", type=not_negative, metavar="N", help=f"of weights, samples and orders (default: {DEFAULTS['seed']})"
    )
    model.add_argument(
        "-ss", "--sample-store", type=not_negative, metavar="N",
        help=f"negative samples drawn ahead; 0 draws them step by step (default: {DEFAULTS['sample_store']})",
    )  # fmt: skip


def add_engine(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    engine = parser.add_argument_group("engine")
    engine.add_argument(
        "--engine",
        metavar="NAME",
        help=f"{', '.join(engines.NAMES)} or package.module:Class (default: {DEFAULT_ENGINE}); or a baseline: "
        f"{', '.join(baselines.ENGINES)}",
    )
    engine.add_argument("-d", "--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")
    return engine


def add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("columns of the files")
    for letter, (name, column) in zip(("-sk", "-ik", "-tk"), Columns()._asdict().items()):
        data.add_argument(letter, f"--{name}-key", metavar="NAME", help=f"{name} column (default: {column})")
    add_reading(data)


def add_reading(group: argparse._ArgumentGroup) -> None:
    """How the files of sessions are to be read."""
    group.add_argument(
        "--ids", choices=("auto", "text", "number"), default="auto",
        help="session and item ids (default: numbers where every one of a column is the plain decimal of its number, "
        "else texts)",
    )  # fmt: skip
    group.add_argument(
        "--time-format", metavar="FORM",
        help="of times that are neither Unix numbers nor ISO 8601, as %%d/%%m/%%Y %%H:%%M; or the unit of numbers, "
        "s, ms, us or ns, which makes seconds of them",
    )  # fmt: skip


def read(
    given: argparse.Namespace, path: Path, columns: Columns, text_items: bool | None = None, any_unit: bool = False
) -> EventFile:
    """A file, as :func:`add_reading`'s arguments say."""
    return frames.read(path, columns, given.ids, given.time_format, text_items, any_unit)


def add_mode(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-e", "--eval-type", choices=metrics.MODES,
        help=f"how ties are ranked (default: {metrics.DEFAULT_MODE}, in which a tie counts against the model; the "
        "published programs' default is standard, in which a model that scores all items alike is perfect)",
    )  # fmt: skip


def fill_in(given: argparse.Namespace, **defaults: Any) -> argparse.Namespace:
    """A copy in which :data:`DEFAULTS`, and ``defaults``, stand for what was not given."""
    present = {name: value for name, value in vars(given).items() if value is not None}
    return argparse.Namespace(**vars(given) | DEFAULTS | defaults | present)


def columns(given: argparse.Namespace, default: Columns = Columns()) -> Columns:
    names = Columns(given.session_key, given.item_key, given.time_key)
    return Columns(*(name or other for name, other in zip(names, default)))


def maker(given: argparse.Namespace) -> tuple[Maker, str]:
    """The engine asked for, and its device."""
    spec, device = models.engine(given.engine or DEFAULT_ENGINE, given.device)
    if "devices" in given:
        spec = hosts.over_devices(spec, given)
    return Maker(spec, given.dtype, given.seed), device


def params(given: argparse.Namespace) -> Params:
    """The options of ``-pf FILE``, then those of ``-ps``, which win. Raises ValueError for any that is not accepted."""
    if getattr(given, "engine", None) in baselines.ENGINES:
        return _params_of_baseline(given)
    from_file = options.by_name_or_file(given.param_file) if given.param_file else {}
    return from_file | (options.from_text(given.params) if given.params else {})


def _params_of_baseline(given: argparse.Namespace) -> Params:
    table, path = baselines.table(given.engine), param_file(given)
    if given.param_file and not path:
        raise ValueError(f"-pf {given.param_file} with --engine {given.engine}: there is no such file")
    from_file = options.from_file(path, table.parse) if path else {}
    return from_file | (options.from_text(given.params, parse_option=table.parse) if given.params else {})


def check_baseline(given: argparse.Namespace, *unused: tuple[str, Any]) -> None:
    """Raise ValueError where an option of training, (name, value), is given with a baseline, which has none."""
    for name, value in unused if given.engine in baselines.ENGINES else ():
        if value is not None:
            raise ValueError(f"{name} with --engine {given.engine}: it is counted, not trained, so this has no use")


def param_file(given: argparse.Namespace) -> Path | None:
    """The file of ``-pf``, where it names one."""
    return Path(given.param_file) if given.param_file and Path(given.param_file).is_file() else None
