"""What was published: figures of the papers, as they stand there."""

import pytest

from gru4rec import published
from gru4rec.engines import named

# Recall@20, MRR@20 of the study, and what is 0.1845 (Recall@1 is MRR@1)
AT_20 = {
    "RSC15": (0.1845, 0.7283, 0.3205),
    "Yoochoose": (0.1829, 0.6789, 0.3024),
    "Rees46": (0.1114, 0.5293, 0.2008),
    "Coveo": (0.0513, 0.3135, 0.1010),
    "RetailRocket": (0.1274, 0.5186, 0.2175),
    "Diginetica": (0.0725, 0.4995, 0.1542),
}


def test_results_of_six_data_sets():
    assert {name: (found[1].recall, *found[20]) for name, found in published.RESULTS.items()} == AT_20
    for found in published.RESULTS.values():
        assert list(found) == [1, 5, 10, 20] and found[1].recall == found[1].mrr
        for metric in ("recall", "mrr"):
            values = [getattr(pair, metric) for pair in found.values()]
            assert values == sorted(values)
    assert {each.data for each in published.SETTINGS.values()} == set(published.RESULTS)


def test_results_of_rsc15_in_2018():
    assert published.RSC15_RESULTS.keys() == published.RSC15.keys() - {"top1"}
    assert published.RSC15_RESULTS["bpr-max"].recall == 0.7197 and published.RSC15_RESULTS["bpr-max"].mrr == 0.3157


@pytest.mark.parametrize("name", published.SETTINGS)
def test_settings_are_named_by_where_they_come_from(name):
    each = published.SETTINGS[name]
    assert each.about == f"{each.data}, {each.source}" and each.source.startswith("arXiv ")
    assert named("keras").lacks(each.params) == []
