"""What is wrong with the box: the rules, each by itself, and the clock that a person confirms."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance import clock, config, health
from appliance.config import Settings
from appliance.health import Facts
from appliance.paths import PROJECT_ROOT

WELL = Facts(
    not_ready={}, redis=True, database=True, disk_free_mb=9000, disk_warn_mb=512, clock_trusted=True, oldest={},
    invoices_named=True, mail_host="relay.example",
)  # fmt: skip
WRONG: dict[str, dict[str, Any]] = {
    "role_not_ready": {"not_ready": {"beat": "backoff"}},
    "redis_away": {"redis": False},
    "database_away": {"database": False},
    "disk_low": {"disk_free_mb": 511},
    "clock_untrusted": {"clock_trusted": False},
    "fixes_damaged": {"damaged_days": (date(2026, 1, 26),)},
    "map_unusable": {"bad_maps": ("map.mbtiles: it holds no tiles",)},
    "jobs_failed": {"failed_jobs": 1},
    "work_waits": {"oldest": {"normal": timedelta(minutes=11)}},
    "certificate_unusable": {"certificate_problems": ("the uploaded certificate is not used: it ended",)},
    "certificate_ends": {"certificate_ends_on": date(2026, 2, 1)},
    "queue_paused": {"paused": ("normal",)},
    "uplink_unknown": {"uplink_unknown": True},
    "uplink_refused": {"uplink_refused": "401 unsigned"},
    "nights_missed": {"missed_nights": 2},
    "uplink_stopped": {"uplink_stopped": ("trips",)},
    "receipt_differs": {"receipt_differs": "the sums differ"},
    "rows_parked": {"parked_rows": 1},
    "news_kept": {"news_kept": 1},
    "not_recovered": {"not_recovered": True},
    "invoices_unnamed": {"invoices_named": False},
    "mail_stays": {"mail_host": ""},
}


def test_a_box_that_is_well_has_no_issue() -> None:
    assert health.issues(WELL) == []
    assert (
        health.issues(
            msgspec.structs.replace(WELL, oldest={"normal": timedelta(minutes=10)}, disk_free_mb=512, missed_nights=1)
        )
        == []
    )


@pytest.mark.parametrize(("code", "fact"), WRONG.items())
def test_each_thing_that_is_wrong_is_one_issue_with_all_its_words(code: str, fact: dict[str, Any]) -> None:
    (issue,) = health.issues(msgspec.structs.replace(WELL, **fact))
    assert issue.code == code
    assert all(text.strip() for text in (issue.title, issue.cause, issue.effect, issue.next))


def test_the_most_urgent_comes_first_and_redis_is_told_once() -> None:
    everything = {key: value for fact in WRONG.values() for key, value in fact.items()}
    found = health.issues(msgspec.structs.replace(WELL, **{**everything, "not_ready": {"redis": "backoff"}}))
    assert [one.severity for one in found] == ["urgent"] * 6 + ["warning"] * 14 + ["note"]
    assert [one.title for one in found].count("Not ready: redis") == 1


def test_each_code_is_documented_with_its_severity() -> None:
    told = re.findall(
        r"^\| `([a-z_]+)` \| (urgent|warning|note) \|", (PROJECT_ROOT / "docs/operations.md").read_text(), re.M
    )
    assert dict(told) == {
        code: health.issues(msgspec.structs.replace(WELL, **fact))[0].severity for code, fact in WRONG.items()
    }


@pytest.fixture
def careful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A depot whose clock must be synchronized, on a machine where it is not; up for an hour."""
    monkeypatch.setattr(clock, "SYNCHRONIZED", tmp_path / "synchronized")
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 1, 26, 12, tzinfo=UTC))
    monkeypatch.setattr(clock, "uptime_s", lambda: 3600.0)
    environ = {"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path), "DEPOTBOX_CLOCK__TRUST": "synchronized"}
    return config.load(environ=environ)


def test_a_confirmed_clock_is_trusted_while_it_goes_on(careful: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not clock.trusted(careful)
    clock.confirm(careful)
    assert clock.trusted(careful)
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 2, 26, 12, tzinfo=UTC))
    monkeypatch.setattr(clock, "uptime_s", lambda: 3600.0 + 31 * 86_400)
    assert clock.trusted(careful)


def test_a_clock_that_was_set_is_not_the_one_that_was_confirmed(
    careful: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.confirm(careful)
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 1, 26, 12, 2, tzinfo=UTC))
    assert not clock.trusted(careful)


def test_a_confirmation_ends_with_the_run_of_the_machine(careful: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.confirm(careful)
    monkeypatch.setattr(clock, "boot", lambda: "another start")
    assert not clock.trusted(careful)


def test_a_broken_confirmation_is_none(careful: Settings) -> None:
    careful.paths.clock_confirmed.write_text("{")
    assert not clock.trusted(careful)
