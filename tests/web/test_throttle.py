"""How often a password may be tried. Times are seconds of a clock that only goes forward."""

from __future__ import annotations

from web.throttle import BUDGET, FORGOTTEN_S, LONGEST_S, MOST, REFILL_S, Throttle, delay_s

ANN, BOB, HERE, THERE = "ann", "bob", "10.0.0.1", "10.0.0.2"


def test_each_wrong_password_doubles_the_wait_up_to_a_minute() -> None:
    assert [delay_s(n) for n in (0, 1, 2, 3, 6, 7, 8, 5000)] == [0, 1, 2, 4, 32, 60, 60, 60]


def test_an_attempt_before_its_time_is_not_looked_at_and_does_not_prolong_the_wait() -> None:
    throttle = Throttle()
    assert throttle.attempt(ANN, HERE, 0) == 0
    assert [throttle.attempt(ANN, HERE, at) for at in (0, 0.25, 0.75)] == [1, 0.75, 0.25]
    assert throttle.attempt(ANN, HERE, 1.0) == 0
    assert throttle.attempt(ANN, HERE, 1.0) == 2


def test_nobody_else_waits() -> None:
    throttle = Throttle()
    for at in range(1000):
        throttle.attempt(ANN, HERE, float(at))
    now = 1000.0
    assert throttle.attempt(ANN, HERE, now) > 1
    assert throttle.attempt(BOB, HERE, now) == 0
    assert throttle.attempt(ANN, THERE, now) == 0


def test_a_browser_that_is_known_waits_for_no_failure_at_its_address() -> None:
    throttle = Throttle()
    for account in range(2 * BUDGET):
        throttle.attempt(f"{account}", HERE, 0)
        throttle.attempt(ANN, HERE, float(account))
    assert throttle.attempt(ANN, HERE, 100.0) > 0
    assert throttle.attempt(ANN, "mark of ann's browser", 100.0, known=True) == 0


def test_there_is_no_lock_out_the_wait_ends_within_a_minute() -> None:
    throttle, now = Throttle(), 0.0
    for _ in range(200):
        now += throttle.attempt(ANN, HERE, now)
        assert throttle.attempt(ANN, HERE, now) <= LONGEST_S
    assert throttle.attempt(ANN, HERE, now + LONGEST_S) == 0


def test_the_right_password_ends_the_wait() -> None:
    throttle = Throttle()
    throttle.attempt(ANN, HERE, 0)
    throttle.attempt(ANN, HERE, 1)
    throttle.succeeded(ANN, HERE)
    assert throttle.attempt(ANN, HERE, 1) == 0


def test_failures_are_forgotten() -> None:
    throttle = Throttle()
    for at in (0, 1, 3, 7):
        assert throttle.attempt(ANN, HERE, at) == 0
    assert throttle.attempt(ANN, HERE, 8 + FORGOTTEN_S) == 0
    assert throttle.attempt(ANN, HERE, 8 + FORGOTTEN_S) == delay_s(1)


def test_one_address_has_a_budget_over_all_accounts() -> None:
    throttle = Throttle()
    tried = [throttle.attempt(f"user{n}", HERE, 0) for n in range(BUDGET + 5)]
    assert tried == [0] * BUDGET + [REFILL_S] * 5
    assert throttle.attempt("another", THERE, 0) == 0
    assert throttle.attempt("another", HERE, REFILL_S) == 0


def test_logging_in_costs_nothing_of_the_budget() -> None:
    throttle = Throttle()
    for n in range(3 * BUDGET):
        assert throttle.attempt(f"user{n}", HERE, 0) == 0
        throttle.succeeded(f"user{n}", HERE)


def test_a_flood_of_invented_accounts_takes_no_memory() -> None:
    throttle = Throttle()
    for n in range(MOST + 1000):
        throttle.attempt(f"user{n}", f"place{n}", 0)
    assert len(throttle._failures) == len(throttle._budgets) == MOST
