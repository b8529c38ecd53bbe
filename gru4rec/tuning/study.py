"""A study that several processes, on several hosts, may work on, and that survives whatever ends one of them."""

import copy
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from gru4rec import signals

HEARTBEAT, GRACE = 10, 60  # seconds between a running trial's signs of life; without any for so long it was cut off
RETRIES = 2  # of a trial whose process was killed, which the trial itself may have caused
RECONNECTIONS = 5  # tries of a storage that cannot be reached, 1, 2, 4, 8 and 16 seconds apart
FAILURES = 3  # trials in a row that fail before a process gives up
_POLL = 2.0  # seconds between looks at the trials of other processes
_LOCK_TIMEOUT = 120  # seconds that SQLite waits for another process to finish writing
_OPENINGS = 6  # tries, since of two processes that make the tables at once one fails
_SETUP = "setup"
DIVERGED = "diverged"  # an attribute of a trial
LOST = (optuna.exceptions.StorageInternalError, SQLAlchemyError)  # what a lost connection raises
log = logging.getLogger(__name__)
# the signs of life, without which a killed process would leave its trial running for ever
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
_retry = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)


def _queue_killed(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial whose process was killed again, without what it had measured until then."""
    bare = copy.copy(trial)
    bare.user_attrs = {}
    _retry(study, bare)


def _queue_interrupted(study: optuna.Study, trial: FrozenTrial) -> None:
    """As :func:`_queue_killed`, as often as a user likes to stop it: it is no retry."""
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            system_attrs=trial.system_attrs,
        )
    )


class SeededTPE(BaseSampler):
    """TPE whose draws for a trial follow from the seed and the trial's number, in whichever process it runs.

    So processes that share a study never draw alike, and a study that was stopped between two trials goes on as it
    would have. One stopped within a trial runs it again with the same values, but under the next number, and every draw
    from there on is another.
    """

    def __init__(self, seed: int):
        self.seed, self._number, self._sampler = seed, -1, TPESampler()

    def _for(self, trial: FrozenTrial) -> TPESampler:
        if trial.number != self._number:
            seed = (self.seed * 1_000_003 + trial.number) % 2**32
            self._number, self._sampler = trial.number, TPESampler(seed=seed)
        return self._sampler

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._for(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._for(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._for(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._for(trial).before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._for(trial).after_trial(study, trial, state, values)


def sqlite(path: Path) -> str:
    """The URL of a storage in one file, for the processes of one host."""
    return f"sqlite:///{path.resolve()}"


def open_study(url: str, name: str, setup: dict[str, Any], pruning: bool, seed: int) -> optuna.Study:
    """The study of this name in the storage, made where there is none.

    setup: what all processes must agree on, plain JSON values. pruning: end a trial after an epoch in which it is worse
    than the median of the others at that epoch. Raises ValueError where the study has another setup or the URL is
    none, ImportError where its driver is missing, OSError where the storage cannot be used.
    """
    study = optuna.create_study(
        storage=_storage(url),
        study_name=name,
        direction="maximize",
        sampler=SeededTPE(seed),
        pruner=optuna.pruners.MedianPruner() if pruning else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    if _SETUP not in study.user_attrs:
        study.set_user_attr(_SETUP, setup)
    check_setup(study, setup)
    return study


def _storage(url: str) -> RDBStorage:
    for scheme in ("postgresql://", "postgres://"):  # the second is no name for SQLAlchemy, the first may mean psycopg2
        if url.startswith(scheme):
            url = f"postgresql+psycopg://{url.removeprefix(scheme)}"
    engine = {"connect_args": {"timeout": _LOCK_TIMEOUT}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    for attempt in range(1, _OPENINGS + 1):
        try:
            return RDBStorage(
                url,
                engine_kwargs=engine,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=_queue_killed,
            )
        except ImportError as problem:
            raise ImportError(
                f"--storage: {problem.__cause__ or problem}; for PostgreSQL install gru4rec-parity[postgresql]"
            ) from None
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as problem:
            if attempt == _OPENINGS or isinstance(problem, ArgumentError):
                raise OSError(f"--storage cannot be used: {reason(problem)}") from None
            time.sleep(0.2 * attempt)
    raise AssertionError("the last attempt returns or raises")


def reason(problem: BaseException) -> str:
    """In a line, what the storage's driver said, where Optuna has put words of its own around it."""
    return str(problem.__cause__ or problem).splitlines()[0]


def check_setup(study: optuna.Study, now: dict[str, Any]) -> None:
    """Raise ValueError where the study has another setup than ``now``."""
    before = study.user_attrs[_SETUP]
    for key in before | now:
        if before.get(key) != now.get(key):
            raise ValueError(
                f"study {study.study_name!r} was begun with {key} = {before.get(key)}, not {now.get(key)}; "
                "give another --study or another --out"
            )


def done(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count: completed or pruned."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """Completed trials, the best first."""
    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(found, key=lambda trial: (-value(trial), trial.number))


def value(trial: FrozenTrial) -> float:
    """The measure of a completed trial."""
    return cast(float, trial.value)


def good(study: optuna.Study) -> list[FrozenTrial]:
    """Those of them whose training did not diverge."""
    return [trial for trial in completed(study) if not trial.user_attrs.get(DIVERGED)]


def work(
    study: optuna.Study,
    setup: dict[str, Any],
    objective: Callable[[optuna.Trial], float],
    n_trials: int,
    after_trial: Callable[[FrozenTrial, Exception | None], None],
    waiting: Callable[[list[int]], None],
) -> None:
    """Run trials until the study has ``n_trials`` that count, whichever process ran them.

    A trial of a process that shows no sign of life is put in the queue again, as is one that is interrupted here.
    setup: compared with the study's around every trial, since of two processes that begin a study at once the later one
    decides. after_trial: called with each trial of this process, and with what made it fail, else None. waiting: called
    with the numbers of the trials that other processes still run, when there is no other left to do.

    A connection to the storage that is lost is tried again a few times, for half a minute in all; the trial that it was
    lost in is run again, as that of a process without a sign of life.

    Raises the last error after a few trials in a row have failed, ValueError for another setup, and KeyboardInterrupt.
    """
    lost = 0

    def told(trial: FrozenTrial, problem: Exception | None) -> None:
        nonlocal lost
        lost = 0
        after_trial(trial, problem)

    while True:
        try:
            return _work(study, setup, objective, n_trials, told, waiting)
        except LOST as problem:
            lost += 1
            if lost > RECONNECTIONS:
                raise
            log.warning("the storage of the study: %s; trying again", reason(problem))
            time.sleep(2.0 ** (lost - 1))


def _work(
    study: optuna.Study,
    setup: dict[str, Any],
    objective: Callable[[optuna.Trial], float],
    n_trials: int,
    after_trial: Callable[[FrozenTrial, Exception | None], None],
    waiting: Callable[[list[int]], None],
) -> None:
    current: list[int] = []

    def watched(trial: optuna.Trial) -> float:
        current[:] = [trial.number]
        try:
            return objective(trial)
        finally:  # a trial that began before another process decided fails, and does not count
            check_setup(study, setup)

    failures = 0
    while True:
        signals.check()
        check_setup(study, setup)
        optuna.storages.fail_stale_trials(study)
        count = len(done(study))
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if count >= n_trials:
            return
        if count + len(running) >= n_trials:
            waiting([trial.number for trial in running])
            time.sleep(_POLL)
            continue
        current.clear()
        problem: Exception | None = None
        try:
            study.optimize(watched, n_trials=1)
        except KeyboardInterrupt:
            _queue_again(study, current)
            raise
        except Exception as error:
            if signals.came():  # the error is what a library made of the interruption
                _queue_again(study, current)
                raise KeyboardInterrupt from error
            if isinstance(error, LOST):
                raise
            problem = error
        if problem and not current:
            raise problem
        failures = failures + 1 if problem else 0
        after_trial(_trial(study, current[0]), problem)
        if problem and failures == FAILURES:
            raise problem


def _trial(study: optuna.Study, number: int) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[number]


def _queue_again(study: optuna.Study, numbers: list[int]) -> None:
    for trial in (_trial(study, number) for number in numbers):
        if trial.state == TrialState.FAIL:
            _queue_interrupted(study, trial)
