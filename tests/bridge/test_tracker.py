"""The vehicle's side: what is not answered is kept and sent again, and a button waits for the fixes before it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.config import Settings
from mqtt_bridge import topics, tracker
from mqtt_bridge.client import Message
from mqtt_bridge.tracker import Fleet
from tests.cast import NOON, OTHER_VAN, VAN

EPOCH = 7


class Line:
    """The connection, as the fleet uses it: what was sent stays in `sent`."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def publish(self, topic: str, payload: bytes) -> bool:
        self.sent.append((topic, json.loads(payload)))
        return True

    def acknowledge(self, message: Message) -> None:
        pass

    def seqs(self) -> list[int]:
        """The numbers that were sent since the last time."""
        found = [body["seq"] for topic, body in self.sent if topic == topics.gps(VAN)]
        self.sent.clear()
        return found


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def fleet(depot: Settings, line: Line) -> Fleet:
    made = Fleet(depot.paths, "test")
    made._client = line  # type: ignore[assignment]
    made.add(VAN, EPOCH)
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "AGAIN_S", -1.0)


def hear(fleet: Fleet, topic: str, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fleet._receive(Message(topic, raw, False, NOON, 1, 1, 1))


def acknowledge(fleet: Fleet, seq: int, epoch: int = EPOCH) -> None:
    hear(fleet, topics.ack(VAN, f"{VAN}-1"), {"epoch": epoch, "seq": seq})


def drive(fleet: Fleet, count: int) -> None:
    for n in range(count):
        fleet.fix(VAN, {"lat": 53.4, "lon": -2.9, "t": n})


def button(id: str) -> dict[str, Any]:
    return {"event_id": id, "trip_id": 1, "event": "on_board", "at": NOON.isoformat()}


def test_a_tracker_that_is_not_its_vehicles_first_writes_below_its_own_name(fleet: Fleet, line: Line) -> None:
    fleet.add("VAN-7", EPOCH, "VAN-7-2")
    fleet.fix("VAN-7", {})
    fleet.step()
    assert [topic for topic, _body in line.sent] == [topics.gps("VAN-7", "VAN-7-2")]


def test_fixes_are_numbered_from_one_and_sent_once(fleet: Fleet, line: Line) -> None:
    drive(fleet, 3)
    fleet.step()
    fleet.step()
    assert [(body["seq"], body["epoch"]) for _, body in line.sent] == [(1, EPOCH), (2, EPOCH), (3, EPOCH)]


def test_an_acknowledgement_takes_all_up_to_it(fleet: Fleet, line: Line) -> None:
    drive(fleet, 5)
    fleet.step()
    acknowledge(fleet, 3)
    assert (fleet.waiting(), fleet.acknowledged) == (2, 3)
    acknowledge(fleet, 3)
    assert fleet.waiting() == 2


def test_an_acknowledgement_of_another_epoch_says_nothing(fleet: Fleet) -> None:
    drive(fleet, 2)
    fleet.step()
    acknowledge(fleet, 2, epoch=EPOCH + 1)
    assert fleet.waiting() == 2


def test_what_was_not_sent_cannot_be_acknowledged(fleet: Fleet, line: Line) -> None:
    """The box knew these numbers from before: they may be of other fixes."""
    drive(fleet, 1)
    fleet.step()
    drive(fleet, 3)
    acknowledge(fleet, 99)
    assert fleet.waiting() == 3
    line.sent.clear()
    fleet.step()
    assert line.seqs() == [2, 3, 4]


@pytest.mark.parametrize("body", [b"{", [], 7, {"epoch": EPOCH}, {"epoch": EPOCH, "seq": None}, {}])
def test_an_acknowledgement_that_is_none_is_passed_over(fleet: Fleet, body: Any) -> None:
    drive(fleet, 1)
    fleet.step()
    hear(fleet, topics.ack(VAN, f"{VAN}-1"), body)
    hear(fleet, topics.ack(OTHER_VAN, f"{OTHER_VAN}-1"), {"epoch": EPOCH, "seq": 1})
    assert fleet.waiting() == 1


def test_what_is_not_answered_is_sent_again(fleet: Fleet, line: Line, impatient: None) -> None:
    drive(fleet, 3)
    fleet.step()
    acknowledge(fleet, 1)
    line.sent.clear()
    fleet.step()
    assert line.seqs() == [2, 3]


def test_after_a_new_connection_all_that_waits_is_sent_again(fleet: Fleet, line: Line) -> None:
    drive(fleet, 3)
    fleet.press(VAN, button("b"))
    fleet.step()
    acknowledge(fleet, 3)
    fleet.step()
    line.sent.clear()
    drive(fleet, 1)
    fleet._again()
    fleet.step()
    assert [body.get("seq", body.get("event_id")) for _, body in line.sent] == [4, "b"]


def test_without_a_connection_nothing_is_sent_and_nothing_lost(fleet: Fleet, line: Line) -> None:
    line.connected = False
    drive(fleet, 2)
    fleet.step()
    assert line.sent == []
    line.connected = True
    fleet.step()
    assert line.seqs() == [1, 2]


def test_only_so_many_are_on_their_way_at_once(fleet: Fleet, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "IN_FLIGHT", 3)
    drive(fleet, 10)
    sent: list[int] = []
    while fleet.waiting():
        fleet.step()
        new = line.seqs()
        assert 0 < len(new) <= 4
        sent += new
        acknowledge(fleet, sent[-1])
    assert sent == list(range(1, 11))


def test_a_button_waits_for_the_fixes_before_it_and_not_for_those_after(fleet: Fleet, line: Line) -> None:
    drive(fleet, 2)
    fleet.press(VAN, button("b"))
    drive(fleet, 1)
    fleet.step()
    acknowledge(fleet, 1)
    fleet.step()
    assert topics.trip(VAN) not in [topic for topic, _ in line.sent]
    acknowledge(fleet, 2)
    fleet.step()
    assert line.sent[-1] == (topics.trip(VAN), button("b"))


def test_buttons_are_sent_one_after_another(fleet: Fleet, line: Line) -> None:
    for id in ("a", "b"):
        fleet.press(VAN, button(id))
    fleet.step()
    fleet.step()
    assert [body["event_id"] for _, body in line.sent] == ["a"]
    hear(fleet, topics.trip_reply(VAN), {"event_id": "b", "accepted": True})  # not its turn
    hear(fleet, topics.trip_reply(VAN), {"event_id": "a", "accepted": False, "reason": "no"})
    fleet.step()
    assert [body["event_id"] for _, body in line.sent] == ["a", "b"]
    assert fleet.refused == [("a", "no")]
    hear(fleet, topics.trip_reply(VAN), {"event_id": "b", "accepted": True})
    assert fleet.waiting() == 0


def test_a_button_without_a_reply_is_pressed_again(fleet: Fleet, line: Line, impatient: None) -> None:
    fleet.press(VAN, button("a"))
    fleet.step()
    fleet.step()
    assert [body["event_id"] for _, body in line.sent] == ["a", "a"]
