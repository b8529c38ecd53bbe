"""The states of running sessions: bounded in number, gone when they have been idle."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class SessionStore:
    """State by session; the one that was idle longest goes first where there is no room.

    Args:
        most: sessions that are kept.
        expiry: seconds after which an idle session has ended.
        clock: seconds, for tests.
    """

    def __init__(self, most: int, expiry: float, clock: Callable[[], float] = time.monotonic) -> None:
        if most < 1:
            raise ValueError(f"most={most!r}: a whole number of at least 1 is accepted")
        if not expiry > 0:
            raise ValueError(f"expiry={expiry!r}: a number of seconds above 0 is accepted")
        self.most, self.expiry, self.clock = most, expiry, clock
        self._held: OrderedDict[str, tuple[float, Any]] = OrderedDict()  # the one idle longest comes first

    def __len__(self) -> int:
        self._expire()
        return len(self._held)

    def get(self, session: str) -> Any:
        """The state, None for a session that does not run. Its time begins anew."""
        self._expire()
        if session not in self._held:
            return None
        _, state = self._held.pop(session)
        self._held[session] = self.clock(), state
        return state

    def put(self, session: str, state: Any) -> None:
        """Keep the state of a session, which was active now."""
        self._held.pop(session, None)
        self._held[session] = self.clock(), state
        self._expire()
        while len(self._held) > self.most:
            self._held.popitem(last=False)

    def remove(self, session: str) -> bool:
        """Forget a session; whether it ran."""
        self._expire()
        return self._held.pop(session, None) is not None

    def _expire(self) -> None:
        oldest = self.clock() - self.expiry
        while self._held and next(iter(self._held.values()))[0] <= oldest:
            self._held.popitem(last=False)
