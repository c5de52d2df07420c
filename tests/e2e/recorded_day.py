"""What a replayed recording must have become, judged from the outside."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import os
import re
from collections import defaultdict
from pathlib import Path

import pytest
from geographiclib.geodesic import Geodesic
from pypdf import PdfReader
from running_box import RunningBox

ROOT = Path(__file__).resolve().parents[2]
RECORDING = Path(os.environ.get("DEPOTBOX_SHARED", ROOT.parent / "shared")) / "data" / "liverpool_route14.csv"
FIXES, TRIPS = 1533, 16

needs_recording = pytest.mark.skipif(not RECORDING.exists(), reason="the recorded day is not here")


def independent_distances_m() -> dict[str, float]:
    """Each trip's length on the WGS 84 ellipsoid by Karney's geodesics, straight from the file."""
    points: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    with RECORDING.open(newline="") as file:
        for row in csv.DictReader(file):
            points[row["trip_id"]].append((row["timestamp"], float(row["latitude"]), float(row["longitude"])))
    return {
        trip: sum(
            Geodesic.WGS84.Inverse(a[1], a[2], b[1], b[2])["s12"]
            for a, b in zip(sorted(found), sorted(found)[1:], strict=False)
        )
        for trip, found in points.items()
    }


def assert_complete(box: RunningBox) -> None:
    """16 trips completed, 16 invoices with consecutive numbers, 1,533 fixes once each, every distance within 0.5 %."""
    assert box.query("SELECT state, count(*) FROM trips GROUP BY state") == [("completed", TRIPS)]
    numbers = [number for (number,) in box.query("SELECT number FROM invoices ORDER BY number")]
    first = numbers[0].rpartition("A")[0]
    assert numbers == [f"{first}A{count:06}" for count in range(1, TRIPS + 1)]
    assert box.json("fixes", "count")["count"] == FIXES
    measured = {ref.rpartition(":")[2]: metres for ref, metres in box.query("SELECT ref, distance_m FROM trips")}
    for trip, expected in independent_distances_m().items():
        assert measured[trip] == pytest.approx(expected, rel=0.005), f"trip {trip}"
    assert box.query("SELECT count(*) FROM jobs WHERE state <> 'done'") == [(0,)]
    assert box.query("SELECT count(*) FROM adjustments") == [(0,)]


def assert_mails(mails: list[bytes], numbers: list[str]) -> None:
    """One mail an invoice, each with its own Message-ID and its PDF, which shows the number."""
    parsed = [email.message_from_bytes(raw, policy=email.policy.default) for raw in mails]
    assert len({message["Message-ID"] for message in parsed}) == len(numbers)
    shown = set()
    for message in parsed:
        (attachment,) = list(message.iter_attachments())
        text = PdfReader(io.BytesIO(attachment.get_content())).pages[0].extract_text()
        found = re.search(r"[A-Z]+-\d{4}-A\d{6}", text)
        assert found, text
        shown.add(found.group())
    assert shown == set(numbers)
