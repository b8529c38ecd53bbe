"""Evaluation."""

from parity.faults.fault import Family, Patches

FAMILY = Family()


@FAMILY.fault("unknown test items kept as item 0", "ranks", "bpr-max")
def unknown_kept() -> Patches:
    from keras_port import evaluation

    events_of = evaluation.events_of

    def kept(gru, test_data, session_key=None, item_key=None, time_key=None):
        key = item_key or gru.item_key
        known = test_data[key].isin(gru.itemidmap.index)
        frame = test_data.assign(**{key: test_data[key].where(known, gru.itemidmap.index[0])})
        return events_of(gru, frame, session_key, item_key, time_key)

    return [(evaluation, "events_of", kept)]


@FAMILY.fault("ranks by argsort, which hides ties", "ranks", "bpr-max")
def ties_hidden() -> Patches:
    from keras_port import evaluation

    return [(evaluation, "rank_of", lambda greater, equal, mode: greater + 1)]
