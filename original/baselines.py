"""The baselines that GRU4Rec was compared with: RandomPred, Pop, SessionPop, ItemKNN and BPR.

Hidasi, Karatzoglou, Baltrunas, Tikk, "Session-based Recommendations with Recurrent Neural Networks" (arXiv 1511.06939),
section 4.1. Each model has

- ``fit(data)``: ``data`` is a DataFrame of one event a row, which is not changed. TypeError when it is none; ValueError
  when a parameter is out of its range, or a column is missing, empty or has missing values.
- ``predict_next(session_id, input_item_id, predict_for_item_ids)``: takes a session's events one by one and returns
  a Series of scores (float64, higher is better) with the items asked for, as given, as its index. RuntimeError before
  ``fit``. Where the session matters, a ``session_id`` unlike the previous call's begins a new one.

An item that is not in the training data scores 0 (RandomPred knows no items and scores any); as an input it changes no
score, but for SessionPop, which counts whatever a session holds.

In the formulas supp_i, the support of item i, is its number of events in the training data.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack
from scipy.special import expit

logger = logging.getLogger(__name__)

CO_OCCURRENCES_PER_BLOCK = 4_000_000  # bounds ItemKNN's working memory
TRIPLES_PER_SCHEDULE = 250_000  # bounds BPR's working memory; longer schedules are hardly more parallel


class RandomPred:
    """Scores every item by a draw from the uniform distribution on [0, 1), anew in each call.

    Args:
        seed: of the NumPy ``RandomState`` that ``fit`` starts; two fits with one seed give the same scores.
    """

    def __init__(self, *, seed: int = 42) -> None:
        self.seed = seed

    def fit(self, data: pd.DataFrame) -> None:
        """Start the random stream; nothing is learnt from ``data``."""
        _check_seed(self.seed)
        _check_frame(data)
        self._random = np.random.RandomState(self.seed)

    def predict_next(self, session_id: Any, input_item_id: Any, predict_for_item_ids: Any) -> pd.Series:
        """Random scores of ``predict_for_item_ids``."""
        _check_fitted(self, "_random")
        index = pd.Index(predict_for_item_ids)
        return pd.Series(self._random.rand(len(index)), index=index)


class Pop:
    """Popularity: supp_i / (1 + supp_i) for the ``top_n`` items of the highest support, 0 for the others.

    Of items with equal support, the one that appears first in the data comes first.

    Args:
        top_n: how many items get a score above 0; at least 1.
        item_key: the item column.
        support_by_key: when set, supp_i is the number of distinct values of this column among the events of i (with the
            session column: the number of sessions that have i).
    """

    def __init__(self, top_n: int = 100, item_key: str = "ItemId", support_by_key: str | None = None) -> None:
        self.top_n = top_n
        self.item_key = item_key
        self.support_by_key = support_by_key

    def fit(self, data: pd.DataFrame) -> None:
        """Count the supports."""
        _check_integer("top_n", self.top_n, least=1)
        items, ids = _encode(data, "item_key", self.item_key)
        if self.support_by_key is not None:
            keys, _ = _encode(data, "support_by_key", self.support_by_key)
            items = items[~pd.DataFrame({"item": items, "key": keys}).duplicated().to_numpy()]
        support = np.bincount(items, minlength=len(ids))
        top = np.argsort(-support, kind="stable")[: self.top_n]
        self._catalog = _Catalog(ids)
        self._scores = np.zeros(len(ids))
        self._scores[top] = support[top] / (1.0 + support[top])

    def predict_next(self, session_id: Any, input_item_id: Any, predict_for_item_ids: Any) -> pd.Series:
        """Popularity of ``predict_for_item_ids``, whatever the session and its input item."""
        _check_fitted(self, "_catalog")
        return self._catalog.select(self._scores, predict_for_item_ids)


class SessionPop:
    """Popularity in the running session: the item's events in it, the input included, plus the score of ``Pop``.

    The score of ``Pop`` is below 1, so that it decides only between items of equal counts.

    Args:
        top_n, item_key, support_by_key: as for :class:`Pop`.
    """

    def __init__(self, top_n: int = 100, item_key: str = "ItemId", support_by_key: str | None = None) -> None:
        self.top_n = top_n
        self.item_key = item_key
        self.support_by_key = support_by_key

    def fit(self, data: pd.DataFrame) -> None:
        """Count the supports."""
        popularity = Pop(self.top_n, self.item_key, self.support_by_key)
        popularity.fit(data)
        self._popularity = popularity
        self._session = _RunningSession()

    def predict_next(self, session_id: Any, input_item_id: Any, predict_for_item_ids: Any) -> pd.Series:
        """Scores of ``predict_for_item_ids`` after the session's next event, ``input_item_id``."""
        _check_fitted(self, "_popularity")
        scores = self._popularity.predict_next(session_id, input_item_id, predict_for_item_ids)
        occurrences = np.zeros(len(scores))
        for item, count in Counter(self._session.add(session_id, input_item_id)).items():
            occurrences[scores.index == item] = count
        return scores + occurrences


class ItemKNN:
    """Similarity of items by co-occurrence in sessions.

    With c_si events of item i in session s,

        s_ij = sum_s c_si * c_sj / ((supp_i + lmbd)^alpha * (supp_j + lmbd)^(1 - alpha)),   s_ii = 0.

    The scores after input i are the ``n_sims`` highest s_ij (of equal ones, the item j that appears first in the data),
    and 0 for the other items. alpha = 0.5 and lmbd = 0 give the cosine, when no session has an item twice.

    Args:
        n_sims: similar items kept of each item; at least 1.
        lmbd: regularisation, which discounts items of low support; at least 0.
        alpha: the share of the input item's support in the normalisation; from 0 to 1.
        session_key, item_key: the session and the item column.
        time_key: part of the published interface; the column is not read, since the order of events is irrelevant.
    """

    def __init__(
        self,
        n_sims: int = 100,
        lmbd: float = 20,
        alpha: float = 0.5,
        session_key: str = "SessionId",
        item_key: str = "ItemId",
        time_key: str = "Time",
    ) -> None:
        self.n_sims = n_sims
        self.lmbd = lmbd
        self.alpha = alpha
        self.session_key = session_key
        self.item_key = item_key
        self.time_key = time_key

    def fit(self, data: pd.DataFrame) -> None:
        """Compute the similarities. Never holds a dense matrix of items by items."""
        _check_integer("n_sims", self.n_sims, least=1)
        _check_number("lmbd", self.lmbd, least=0)
        _check_number("alpha", self.alpha, least=0, most=1)
        sessions, session_ids = _encode(data, "session_key", self.session_key)
        items, ids = _encode(data, "item_key", self.item_key)
        counts = csr_array((np.ones(len(items)), (sessions, items)), shape=(len(session_ids), len(ids)))
        support = np.bincount(items) + float(self.lmbd)
        weights = support**self.alpha, support ** (1 - self.alpha)
        blocks = [_most_similar(start, block, *weights, self.n_sims) for start, block in _co_occurrences(counts)]
        self._catalog = _Catalog(ids)
        self._similarities = vstack(blocks, format="csr")

    def predict_next(self, session_id: Any, input_item_id: Any, predict_for_item_ids: Any) -> pd.Series:
        """Similarity of ``predict_for_item_ids`` to ``input_item_id``, whatever came before it in the session."""
        _check_fitted(self, "_catalog")
        scores = np.zeros(len(self._catalog.ids))
        row = self._catalog.position(input_item_id)
        if row is not None:
            kept = slice(*self._similarities.indptr[row : row + 2])
            scores[self._similarities.indices[kept]] = self._similarities.data[kept]
        return self._catalog.select(scores, predict_for_item_ids)


class BPR:
    """Matrix factorisation trained on pairs of items (BPR-MF), with sessions in the place of users.

    Rendle, Freudenthaler, Gantner, Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit Feedback" (arXiv
    1205.2618). One SGD step for an event of item i in session u, and a negative item j, all from the values before it:

        c    = 1 - sigmoid(u . (v_i - v_j))
        u   += learning_rate * ( c * (v_i - v_j) - lambda_session * u)
        v_i += learning_rate * ( c * u           - lambda_item * v_i)
        v_j += learning_rate * (-c * u           - lambda_item * v_j)

    An iteration does one step for each event, in shuffled order. A new session has no vector u: the mean of its items'
    vectors so far (an item that occurs twice counts twice) stands for it, and item k scores mean . v_k. The published
    program has biases of items too, which it never changes from 0; here they are left out.

    Args:
        n_factors: length of the vectors; at least 1.
        n_iterations: passes over the events; at least 1.
        learning_rate: above 0.
        lambda_session, lambda_item: regularisation; at least 0.
        sigma: the vectors start from the uniform distribution on [-sigma, sigma); above 0.
        init_normal: start from the normal distribution of standard deviation sigma instead.
        session_key, item_key: the session and the item column.
        seed: of the NumPy ``RandomState`` that ``fit`` starts; two fits with one seed give the same model.
    """

    def __init__(
        self,
        n_factors: int = 100,
        n_iterations: int = 10,
        learning_rate: float = 0.01,
        lambda_session: float = 0,
        lambda_item: float = 0,
        sigma: float = 0.05,
        init_normal: bool = False,
        session_key: str = "SessionId",
        item_key: str = "ItemId",
        *,
        seed: int = 42,
    ) -> None:
        self.n_factors = n_factors
        self.n_iterations = n_iterations
        self.learning_rate = learning_rate
        self.lambda_session = lambda_session
        self.lambda_item = lambda_item
        self.sigma = sigma
        self.init_normal = init_normal
        self.session_key = session_key
        self.item_key = item_key
        self.seed = seed

    def fit(self, data: pd.DataFrame) -> None:
        """Train. Memory: 8 bytes a factor for every session and item; only the items' vectors are kept afterwards.

        Raises:
            RuntimeError: where vectors become no finite numbers, by a learning rate that is too large.
        """
        _check_integer("n_factors", self.n_factors, least=1)
        _check_integer("n_iterations", self.n_iterations, least=1)
        _check_number("learning_rate", self.learning_rate, above=0)
        _check_number("lambda_session", self.lambda_session, least=0)
        _check_number("lambda_item", self.lambda_item, least=0)
        _check_number("sigma", self.sigma, above=0)
        _check_seed(self.seed)
        sessions, session_ids = _encode(data, "session_key", self.session_key)
        items, ids = _encode(data, "item_key", self.item_key)

        random = np.random.RandomState(self.seed)
        U = self._initial_vectors(random, len(session_ids))
        V = self._initial_vectors(random, len(ids))
        for iteration in range(1, self.n_iterations + 1):
            order = random.permutation(len(items))
            # Faithful to the published program: positions stop at the number of items, so that only the items
            # of that many first events are ever negatives.
            negatives = items[random.randint(len(ids), size=len(items))]
            for start in range(0, len(items), TRIPLES_PER_SCHEDULE):
                part = slice(start, start + TRIPLES_PER_SCHEDULE)
                u, i, j = sessions[order[part]], items[order[part]], negatives[part]
                for group in _independent_groups(u, i, j):
                    self._step(U, V, u[group], i[group], j[group])
            if not np.isfinite(V).all():
                raise RuntimeError(f"BPR: an item's vector is not finite after iteration {iteration}: it cannot rank")
            logger.info("BPR: iteration %d of %d", iteration, self.n_iterations)
        self._catalog = _Catalog(ids)
        self._V = V
        self._session = _RunningSession()

    def _initial_vectors(self, random: np.random.RandomState, rows: int) -> np.ndarray:
        # In place, because with the sessions of RSC15 each copy takes 6 GB.
        if self.init_normal:
            vectors = random.randn(rows, self.n_factors)
        else:
            vectors = random.rand(rows, self.n_factors)
            vectors *= 2
            vectors -= 1
        vectors *= self.sigma
        return vectors

    def _step(self, U: np.ndarray, V: np.ndarray, u: np.ndarray, i: np.ndarray, j: np.ndarray) -> None:
        """The SGD step of the class docstring for K triples (u, i, j), each (K,), no two of which share a row."""
        Uu, Vi, Vj = U[u], V[i], V[j]
        c = expit(-np.einsum("kf,kf->k", Uu, Vi - Vj))[:, np.newaxis]
        U[u] += self.learning_rate * (c * (Vi - Vj) - self.lambda_session * Uu)
        V[i] += self.learning_rate * (c * Uu - self.lambda_item * Vi)
        V[j] += self.learning_rate * (-c * Uu - self.lambda_item * Vj)

    def predict_next(self, session_id: Any, input_item_id: Any, predict_for_item_ids: Any) -> pd.Series:
        """Scores of ``predict_for_item_ids`` after the session's next event, ``input_item_id``."""
        _check_fitted(self, "_catalog")
        rows = map(self._catalog.position, self._session.add(session_id, input_item_id))
        known = [row for row in rows if row is not None]
        mean = self._V[known].mean(axis=0) if known else np.zeros(self._V.shape[1])
        return self._catalog.select(self._V @ mean, predict_for_item_ids)


def _co_occurrences(counts: csr_array) -> Iterator[tuple[int, csr_array]]:
    """The matrix sum_s c_si * c_sj of ``counts`` (sessions, items) in blocks of rows: (first row, block)."""
    by_item = counts.T.tocsr()
    # Entries of a row of the product, at most: the distinct items of every session that the row's item is in.
    bounds = np.add.reduceat(np.diff(counts.indptr)[by_item.indices], by_item.indptr[:-1], dtype=np.int64)
    starts = np.unique(np.cumsum(bounds) // CO_OCCURRENCES_PER_BLOCK, return_index=True)[1]
    for start, stop in zip(starts, [*starts[1:], len(bounds)], strict=True):
        yield start, by_item[start:stop] @ counts


def _most_similar(
    start: int, block: csr_array, row_weights: np.ndarray, column_weights: np.ndarray, n_sims: int
) -> csr_array:
    """The ``n_sims`` highest of block_ij / (row_weights_i * column_weights_j) in each row; row 0 is item ``start``."""
    together = block.tocoo()
    other = together.col != together.row + start
    rows, columns = together.row[other], together.col[other]
    similarities = together.data[other] / (row_weights[rows + start] * column_weights[columns])
    order = np.lexsort((columns, -similarities, rows))
    rows, columns, similarities = rows[order], columns[order], similarities[order]
    kept = np.arange(len(rows)) - np.searchsorted(rows, rows) < n_sims
    return csr_array((similarities[kept], (rows[kept], columns[kept])), shape=block.shape)


def _independent_groups(u: np.ndarray, i: np.ndarray, j: np.ndarray) -> list[np.ndarray]:
    """Groups of positions whose triples share no row, such that group by group gives what one by one gives.

    A triple goes into the first group after those of all earlier triples that share its session or one of its items.
    """
    next_of_session: dict[int, int] = defaultdict(int)
    next_of_item: dict[int, int] = defaultdict(int)
    groups = []
    for session, positive, negative in zip(u.tolist(), i.tolist(), j.tolist(), strict=True):
        group = max(next_of_session[session], next_of_item[positive], next_of_item[negative])
        next_of_session[session] = next_of_item[positive] = next_of_item[negative] = group + 1
        groups.append(group)
    ends = np.cumsum(np.bincount(groups))
    return np.split(np.argsort(groups, kind="stable"), ends[:-1])


class _Catalog:
    """The items of the training data, and where the items to be scored stand among them."""

    def __init__(self, ids: pd.Index) -> None:
        self.ids = ids
        self._wanted, self._positions = ids[:0], np.empty(0, np.intp)

    def position(self, item: Any) -> int | None:
        """Position of one item, None if it is unknown."""
        try:
            return cast(int, self.ids.get_loc(item))  # the ids are different
        except KeyError:
            return None

    def select(self, scores: np.ndarray, wanted: Any) -> pd.Series:
        """Of ``scores``, one for each item of the catalog, those of the items ``wanted``; 0 where that is unknown."""
        wanted = pd.Index(wanted)
        # Evaluation asks for the same items at every event, and a look-up costs far more than a comparison.
        if not wanted.equals(self._wanted):
            self._wanted, self._positions = wanted, self.ids.get_indexer(wanted)
        return pd.Series(np.where(self._positions < 0, 0.0, scores[self._positions]), index=wanted)


class _RunningSession:
    """The items so far of the session whose events are being predicted."""

    def __init__(self) -> None:
        self._id: Any = None
        self._items: list[Any] = []

    def add(self, session_id: Any, item: Any) -> list[Any]:
        """The items of ``session_id`` up to and with ``item``."""
        if session_id != self._id:
            self._id, self._items = session_id, []
        self._items.append(item)
        return self._items


def _encode(data: pd.DataFrame, parameter: str, column: Any) -> tuple[np.ndarray, pd.Index]:
    """A column as codes 0, 1, ... in order of first appearance, (n_events,), and the value of each code."""
    _check_frame(data)
    if column not in data.columns:
        raise ValueError(f"{parameter}={column!r}: not a column of the data, which has {list(data.columns)}")
    codes, values = pd.factorize(data[column])
    if not len(codes):
        raise ValueError(f"{parameter}={column!r}: the data has no events")
    if (codes < 0).any():
        raise ValueError(f"{parameter}={column!r}: missing values in {(codes < 0).sum()} of {len(codes)} events")
    return codes, pd.Index(values)


def _check_frame(data: Any) -> None:
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"data: a pandas DataFrame is needed, not {type(data).__name__}")


def _check_integer(parameter: str, value: Any, least: int, most: float = np.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        raise ValueError(f"{parameter}={value!r}: an integer from {least} to {most} is needed")


def _check_number(
    parameter: str, value: Any, least: float = -np.inf, most: float = np.inf, above: float = -np.inf
) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not least <= value <= most or not above < value < np.inf:
        accepted = f"above {above}" if above > least else f"from {least} to {most}"
        raise ValueError(f"{parameter}={value!r}: a finite number {accepted} is needed")


def _check_seed(seed: Any) -> None:
    _check_integer("seed", seed, least=0, most=2**32 - 1)


def _check_fitted(model: Any, attribute: str) -> None:
    if not hasattr(model, attribute):
        raise RuntimeError(f"{type(model).__name__}.predict_next was called before fit")
