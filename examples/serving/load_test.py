"""Clicks of many sessions at once against a running service: requests a second, and how long one waits.

python examples/serving/load_test.py http://127.0.0.1:8000 test.tsv --clients 32 --requests 5000
"""

import argparse
import asyncio
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np

from gru4rec import frames


async def client(http: httpx.AsyncClient, clicks: list[tuple[str, int | str]], waits: list[float]) -> int:
    """Send clicks one after the other; returns how many failed."""
    failed = 0
    for session, item in clicks:
        begin = perf_counter()
        answer = await http.post(f"/sessions/{session}/events", json={"item": item})
        waits.append(perf_counter() - begin)
        failed += answer.status_code != 200
    return failed


async def run(url: str, clicks: list[tuple[str, int | str]], clients: int) -> None:
    """Send all clicks, a session's by one client in their order, and print the figures."""
    of_client: list[list[tuple[str, int | str]]] = [[] for _ in range(clients)]
    number = {session: place for place, session in enumerate(dict.fromkeys(session for session, _ in clicks))}
    for session, item in clicks:
        of_client[number[session] % clients].append((session, item))
    waits: list[float] = []
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as http:
        print((await http.get("/health")).json())
        begin = perf_counter()
        failed = sum(await asyncio.gather(*(client(http, each, waits) for each in of_client)))
        seconds = perf_counter() - begin
    p50, p95, p99 = np.percentile(np.array(waits) * 1000, [50, 95, 99])
    print(f"{len(waits):,} requests by {clients} clients in {seconds:.1f} s: {len(waits) / seconds:,.0f} a second, "
          f"{failed} failed; waits of {p50:.1f} ms (50 %), {p95:.1f} ms (95 %), {p99:.1f} ms (99 %)")  # fmt: skip


def main() -> None:
    """Read the arguments, and the clicks of a file of sessions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("sessions", type=Path, help="file of sessions, whose clicks are sent")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=5000)
    given = parser.parse_args()
    frame = frames.read(given.sessions).frame.sort_values("Time", kind="stable").head(given.requests)
    clicks = list(zip(frame["SessionId"].astype(str).tolist(), frame["ItemId"].tolist()))
    asyncio.run(run(given.url, clicks, given.clients))


if __name__ == "__main__":
    main()
