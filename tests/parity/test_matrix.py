import pytest

from parity import engines, matrix, pairwise
from parity.measure import Checks


def test_the_design_covers_every_admitted_pair_and_no_other():
    design = matrix.design()
    wanted = pairwise.all_pairs(matrix.FACTORS, matrix.allowed)
    assert len(design) >= 120
    assert set().union(*map(pairwise.pairs_of, design)) == wanted
    total = sum(
        len(a) * len(b) for i, a in enumerate(matrix.FACTORS.values()) for b in list(matrix.FACTORS.values())[i + 1 :]
    )
    assert len(wanted) == total - 7  # cross-entropy with the seven final activations that are no softmax


def test_the_same_seed_gives_the_same_design():
    assert matrix.design(60, seed=3) == matrix.design(60, seed=3)
    assert matrix.design(60, seed=3) != matrix.design(60, seed=4)


def test_an_engine_that_lacks_an_option_is_not_covered():
    config = next(c for c in matrix.design(60) if c["embedding"] == "separate")
    numpy_engine = engines.named("numpy_gru4rec:GRU4Rec")
    tried = matrix.try_config(config, numpy_engine, numpy_engine)
    assert isinstance(tried.checks, Checks)
    assert tried.checks.status == "not covered"


@pytest.mark.slow
@pytest.mark.parametrize("at", range(0, 120, 20))
def test_some_configurations_hold(at):
    config = matrix.design()[at]
    tried = matrix.try_config(config, engines.named("original-jax"), engines.named("keras"))
    assert tried.checks.held, (config, [(c.name, c.broken or c.worst) for c in tried.checks.failed])
