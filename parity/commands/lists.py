"""``python -m parity lists``: an engine's lists beside those that somebody else recorded."""

import argparse
from pathlib import Path
from typing import Any

from gru4rec import engines, terminal
from gru4rec.options import from_file, parse_pair
from parity import data, lists
from parity.commands import common
from parity.lists import Likeness, Ours, Recorded

# of the run on Theano that rn5l/session-rec recorded for RSC15-100k (conf/example_next.yml, 2019)
SESSION_REC = dict(
    loss="top1-max", final_act="linear", dropout_p_hidden=0.1, learning_rate=0.08, momentum=0.1, n_epochs=10
)


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "lists",
        help="compare an engine's top lists with recorded ones",
        description="Trains an engine with the settings and the seed of a recorded run, by whoever, and compares its "
        "top lists with the recorded ones: session by session and position by position. Another seed shows what "
        "agreement is worth. Held: what differs is below a quarter of what another seed leaves different.",
    )
    common.add_engines(parser, "original and keras")
    parser.add_argument("--train", type=Path, required=True, metavar="FILE", help="tab-separated training events")
    parser.add_argument("--test", type=Path, required=True, metavar="FILE", help="tab-separated test events")
    parser.add_argument(
        "--lists", type=Path, required=True, metavar="FILE", help=f"recorded lists: {lists.COLUMNS}, best item first"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="options of the recorded run (default: those of session-rec's run on RSC15)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the run")
    parser.add_argument("--seed", type=int, default=42, help="of the recorded run (default: %(default)s)")
    parser.add_argument(
        "--other-seed", type=int, default=43, help="of the run that is the yardstick (default: %(default)s)"
    )
    parser.add_argument("--dropout-seed", type=int, default=12345, help="of both runs (default: %(default)s)")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float32", help="default: %(default)s")
    common.add_device(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    names = options.engine or ["original", "keras"]
    if options.seed == options.other_seed:
        raise ValueError(f"--other-seed {options.other_seed}: another seed than --seed is accepted")
    params = _params(options)
    dataset = data.from_files(options.train, options.test)
    recorded = lists.read(options.lists, dataset)  # a bad file shows before the first run
    device, remark = engines.choose_device(options.device, names)
    engines.make_deterministic(names, device)
    common.check_engines(names)
    console = terminal.console()
    console.print(
        f"{options.lists}: {len(recorded.items)} predictions of {len(set(recorded.sessions.tolist()))} sessions, "
        f"{recorded.items.shape[1]} items each; {', '.join(f'{k}={v}' for k, v in params.items())}; {options.dtype}, "
        f"device {device} ({remark})",
        markup=False,
    )
    verdicts = {}
    for name in names:
        spec = engines.for_device(engines.named(name), device)
        ours = {}
        for seed in (options.seed, options.other_seed):
            with console.status(f"{name}, seed {seed}: training"):
                ours[seed] = _train(spec, params, options, seed, dataset, recorded)
        console.print(_table(name, recorded, ours))
        judged = lists.judge(recorded, ours[options.seed], ours[options.other_seed])
        for part in judged:
            console.print(
                f"{part.what}: {part.differs:.1%} differ, {part.other:.1%} with another seed; bound "
                f"{lists.SHARE_OF_OTHER:.0%} of that, {lists.SHARE_OF_OTHER * part.other:.1%}; excess "
                f"{part.low:+.1%} to {part.high:+.1%}: {part.status}"
            )
        found = {part.status for part in judged}
        verdicts[name] = next(status for status in ("failed", "not covered", "held") if status in found)
    print(f"lists: {'; '.join(f'{name} {status}' for name, status in verdicts.items())}", flush=True)
    return 1 if "failed" in verdicts.values() else 3 if "not covered" in verdicts.values() else 0


def _params(options: argparse.Namespace) -> dict[str, Any]:
    params = from_file(Path(options.config)) if options.config else dict(SESSION_REC)
    try:
        return params | dict(map(parse_pair, options.set))
    except ValueError as problem:
        raise ValueError(f"--set {problem}") from None


def _train(spec, params: dict[str, Any], options, seed: int, dataset, recorded: Recorded) -> Ours:
    """Lists of a new engine after a full run by ``fit``, as a user calls it."""
    engine = spec.create(params, options.dtype, seed, options.dropout_seed)
    engine.fit(dataset.train)
    return lists.made_by(engine, recorded, dataset, params.get("layers", [100]))


def _table(name: str, recorded: Recorded, ours: dict[int, Ours]):
    made = terminal.make_table(f"{name} beside the recorded lists", "", *(f"seed {seed}" for seed in ours), "recorded")
    alike: dict[int, Likeness] = {seed: lists.likeness(recorded, found) for seed, found in ours.items()}
    for N in next(iter(alike.values())).shared:
        made.add_row(f"same top-{N} items", *(f"{found.shared[N]:.1%}" for found in alike.values()), "")
    made.add_row("same first item", *(f"{found.first:.1%}" for found in alike.values()), "")
    made.add_row("correlation of scores", *(f"{found.correlation:.4f}" for found in alike.values()), "")
    figures = [lists.hits(recorded, items) for items in (*(found.items for found in ours.values()), recorded.items)]
    for at, what in enumerate(("Recall@20", "MRR@20")):
        made.add_row(what, *(f"{pair[at]:.4f}" for pair in figures))
    return made
