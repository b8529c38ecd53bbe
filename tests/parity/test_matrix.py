import numpy_gru4rec
import pytest

from gru4rec import engines
from gru4rec.options import OPTIONS
from parity import matrix, pairwise
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
    tried = matrix.try_config(config, engines.named("parity.plain:Plain"), numpy_engine)
    assert tried.checks.verdict == "not covered"
    assert not any(tried.checks[name].compared for name in ("forward", "loss", "gradients", "update"))


class OfBefore(numpy_gru4rec.GRU4Rec):
    """An engine that has never heard of logq, nor of momentum."""

    def __init__(self, *, embedding=0, dtype, seed, dropout_seed):
        super().__init__(embedding=embedding, dtype=dtype, seed=seed, dropout_seed=dropout_seed)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (dict(logq=0.0), None),
        (dict(logq=0.5), "engine before has no option logq"),
        (dict(dwell_time=8), "engine before has no option dwell_time"),
        (dict(momentum=0.0), "engine before has no option momentum"),
        (dict(logq=0.0, embedding="layersize"), "{'embedding': 'layersize'}"),
    ],
    ids=str,
)
def test_an_engine_that_does_not_know_an_option_is_not_covered(params, reason):
    engine = engines.EngineSpec("before", OfBefore)
    checks = Checks()
    checks.attempt(["loss"], lambda checks: checks["loss"].equal("options", engine.create(params).p["layers"], [100]))
    assert checks["loss"].verdict == ("held" if reason is None else "not covered")
    assert not checks["loss"].broken
    assert reason is None or reason in checks["loss"].not_covered[0]


def test_another_type_error_is_a_failure_of_the_engine():
    class Broken(OfBefore):
        def __init__(self, **params):
            len(3)

    with pytest.raises(TypeError, match="has no len"):
        engines.EngineSpec("broken", Broken).create({})


def test_every_option_of_a_configuration_is_an_option_of_settings():
    """So that ``run --set`` can repeat what the matrix found."""
    for config in matrix.design():
        assert set(matrix.params_of(config)) <= set(OPTIONS)


def test_layersize_and_logq_meet_what_they_depend_on():
    design = matrix.design()
    several = [c for c in design if c["embedding"] == "layersize" and len(c["layers"]) > 1]
    assert several and all(matrix.params_of(c)["embedding"] == "layersize" for c in several)
    assert {c["sampling"] for c in design if c["logq"] > 0} == {"none", "uniform", "popularity"}


@pytest.mark.slow
@pytest.mark.parametrize("at", range(0, 120, 20))
def test_some_configurations_hold(at):
    config = matrix.design()[at]
    tried = matrix.try_config(config, engines.named("original-jax"), engines.named("keras"))
    told = [(c.name, c.broken or c.first_failure or c.reasons) for c in tried.checks.values() if c.verdict != "held"]
    assert tried.checks.verdict == "held", (config, told)
