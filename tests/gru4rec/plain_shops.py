"""The preparation of five data sets as one would write it down in pandas, a step a line; nothing of ours is in it."""

import pandas as pd

HOUR, DAY = 3600, 86_400
FROM_TO = ["SessionId", "ItemId", "Time"]


def yoochoose(clicks, test):
    names = ["SessionId", "Time", "ItemId", "Category"]
    events = pd.concat([pd.read_csv(path, names=names) for path in (clicks, test)])
    events["Time"] = [int(pd.Timestamp(text).timestamp()) for text in events.Time]
    return four_parts(events, events_end=None, test_time=DAY)


def rees46(october, november):
    events = pd.concat([pd.read_csv(path) for path in (october, november)])
    events = events[events.event_type == "view"]
    events["Time"] = [int(pd.Timestamp(text[:19]).timestamp()) for text in events.event_time]
    events = events.rename(columns={"product_id": "ItemId"})
    return four_parts(by_gap(events, "user_id", HOUR), events_end=1575158400, test_time=DAY)


def coveo(file):
    events = pd.read_csv(file)
    sessions = {hash_: n for n, hash_ in enumerate(events.session_id_hash.unique())}
    items = {hash_: n for n, hash_ in enumerate(events.product_skus_hash.dropna().unique())}
    events["Key"] = events.session_id_hash.map(sessions)
    events["ItemId"] = events.product_skus_hash.map(items)
    events["Time"] = events.server_timestamp_epoch_ms
    events = by_gap(events, "Key", HOUR * 1000)
    events = events[events.product_action == "detail"].astype({"ItemId": int})
    return four_parts(events, events_end=None, test_time=DAY * 1000)


def retailrocket(file):
    events = pd.read_csv(file).rename(columns={"itemid": "ItemId", "timestamp": "Time"})
    events = by_gap(events, "visitorid", HOUR * 1000)
    return four_parts(events[events.event == "view"], events_end=1442545200000, test_time=7 * DAY * 1000)


def diginetica(file):
    events = pd.read_csv(file, sep=";")
    events.columns = [name.replace("_", "").lower() for name in events.columns]
    day = pd.to_datetime(events.eventdate)
    start = day.groupby(events.sessionid).transform("min")
    events["Time"] = (start - pd.Timestamp(0)) // pd.Timedelta("1ms") + events.timeframe
    events = events.rename(columns={"sessionid": "SessionId", "itemid": "ItemId"})
    return four_parts(events, events_end=None, test_time=7 * DAY * 1000)


def by_gap(events, key, gap):
    events = events.sort_values([key, "Time", "ItemId"], kind="stable")
    new = (events[key] != events[key].shift()) | (events.Time.diff() > gap)
    return events.assign(SessionId=new.cumsum())


def four_parts(events, events_end, test_time):
    events = events[FROM_TO].sort_values(["SessionId", "Time", "ItemId"]).reset_index(drop=True)
    events = events[~((events.SessionId == events.SessionId.shift()) & (events.ItemId == events.ItemId.shift()))]
    before = None
    while len(events) != before:
        before = len(events)
        events = at_least(events, "SessionId", 2)
        events = at_least(events, "ItemId", 5)
    end = events.Time.max() if events_end is None else events_end
    train_full, test = split(events, end - test_time)
    train_tr, train_valid = split(train_full, end - 2 * test_time)
    return {"train_full": train_full, "test": test, "train_tr": train_tr, "train_valid": train_valid}


def at_least(events, column, n):
    return events[events.groupby(column)["Time"].transform("size") >= n]


def split(events, begin):
    first = events.groupby("SessionId").Time.transform("min")
    return at_least(events[events.Time < begin], "SessionId", 2), events[first >= begin]


PREPARE = {
    "yoochoose": yoochoose, "rees46": rees46, "coveo": coveo, "retailrocket": retailrocket, "diginetica": diginetica
}  # fmt: skip
