"""How often a password may be tried: slower after each wrong one, for whoever tries it, and a lock-out for nobody.

Waiting times are those of one account tried from one place, so that no failure of somebody else counts; the clock is
the monotonic one, so that no step of the wall clock does. A place is a client's address, or a browser that this account
has logged in with before (the login page marks it): who shares an address with a guesser is not held up by the guesses.
Besides, an address has a budget of wrong attempts over all accounts. Every wait is at most a minute.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

FIRST_S, LONGEST_S = 1.0, 60.0
FORGOTTEN_S = 3600.0
"""A failure so long ago does not count any more."""
BUDGET, REFILL_S = 50, 6.0
"""So many attempts of one address at once, and one more every so many seconds."""
MOST = 20_000
"""Places and addresses that are remembered; the oldest give way."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(slots=True)
class _Failures:
    count: int
    last_s: float


@dataclass(slots=True)
class _Budget:
    left: float
    at_s: float


class Throttle:
    """One a process. Times are seconds of a clock that only goes forward."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()

    def attempt(self, account: str, place: str, now_s: float, *, known: bool = False) -> float:
        """Seconds to wait before the account may be tried from there, or 0: then this attempt counts as a wrong one
        until `succeeded` says otherwise, so that many at once are one. `known`: the place is a marked browser."""
        found = self._failures.get((account, place))
        if found is None or now_s - found.last_s > FORGOTTEN_S:
            found = _Failures(0, now_s)
        wait_s = found.last_s + delay_s(found.count) - now_s
        if wait_s <= 0 and not known:
            wait_s = self._spend(place, now_s)
        if wait_s > 0:
            return wait_s
        _keep(self._failures, (account, place), _Failures(found.count + 1, now_s))
        return 0.0

    def succeeded(self, account: str, place: str) -> None:
        """The last attempt was right."""
        self._failures.pop((account, place), None)
        if place in self._budgets:
            self._budgets[place].left = min(BUDGET, self._budgets[place].left + 1)

    def _spend(self, address: str, now_s: float) -> float:
        found = self._budgets.get(address) or _Budget(BUDGET, now_s)
        left = min(BUDGET, found.left + (now_s - found.at_s) / REFILL_S)
        if left < 1:
            return (1 - left) * REFILL_S
        _keep(self._budgets, address, _Budget(left - 1, now_s))
        return 0.0


def delay_s(failures: int) -> float:
    """How long the next attempt waits after so many wrong ones in a row."""
    return 0.0 if failures == 0 else float(min(LONGEST_S, FIRST_S * 2 ** min(failures - 1, 10)))


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MOST:
        kept.popitem(last=False)
