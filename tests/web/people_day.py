"""What the pages of vehicles, drivers, patients and users show: papers that end, shifts, an outage, a record."""

from __future__ import annotations

from datetime import timedelta

from appliance import access, alerts, driver_desk, passwords, patient_desk, people_desk, shift_desk, vehicle_desk
from appliance.domain.presence import VehicleState
from appliance.domain.trip import LevelOfService
from appliance.driver_desk import DriverDetails
from appliance.patient_desk import PatientDetails
from appliance.storage import alerts as alert_rows
from appliance.storage import shifts, users, vehicles
from appliance.storage.db import open_depot, write_tx
from appliance.vehicle_desk import VehicleDetails
from tests.web import world

PATIENT = "Ada Marsh"
WHO = world.address_of("administrator")


def make(made: world.World) -> int:
    """Puts it all into the depot, and returns the number of the patient with a record."""
    db, now = open_depot(made.settings.paths.depot_db), made.now
    today = now.date()
    with write_tx(db) as tx:
        for code, days in (("V2", -3), ("V4", 12), ("V6", 200)):
            vehicle_desk.change(
                tx, code, VehicleDetails(documents_expire_on=today + timedelta(days=days)), now=now, who=WHO
            )
        for code, phone, licence, documents in (
            ("D1", "+44 151 496 0110", 400, 90), ("D2", "+44 151 496 0120", 21, 300), ("D3", "", -9, 4),
        ):  # fmt: skip
            details = DriverDetails(
                phone=phone, licence_no=f"ROWE8{code}", licence_expires_on=today + timedelta(days=licence),
                documents_expire_on=today + timedelta(days=documents),
            )  # fmt: skip
            driver_desk.change(tx, code, details, who=WHO, now=now)
        for start, end in ((-3, 5), (21, 29)):
            shift_desk.add(tx, "V1", "D1", now + timedelta(hours=start), now + timedelta(hours=end), who=WHO, now=now)
        duty = shifts.at_work(tx, now)["V1"]
        alerts.open_alert(tx, duty, VehicleState.silent, now - timedelta(minutes=50), made.settings, now)
        alert = alert_rows.open_ones(tx)["V1"]
        alert_rows.close(tx, alert["id"], now - timedelta(minutes=31))
        vehicles.change(tx, made.vehicles["V8"], now, disabled_at=f"{now:%Y-%m-%dT%H:%M:%S.000Z}")
        found, _ = patient_desk.search(tx, PATIENT, who=world.address_of("dispatcher"), now=now - timedelta(hours=2))
        patient = int(found[0]["id"])
        known = PatientDetails(
            address="5 Sandy Lane\nLiverpool L13 7AQ",
            phone="+44 151 496 0177",
            email="ada@example.org",
            level=LevelOfService.wheelchair,
            needs="Oxygen; the neighbour has the key.",
        )
        patient_desk.change(tx, patient, known, who=world.address_of("dispatcher"), now=now - timedelta(hours=2))
        patient_desk.consent(tx, patient, True, who=world.address_of("dispatcher"), now=now - timedelta(hours=2))
        people_desk.add_user(tx, "ann@depot.example", "Ann Lee", "dispatcher", who=WHO, now=now)
        people_desk.add_user(tx, "gone@depot.example", "Gil Gone", "viewer", who=WHO, now=now)
        people_desk.disable(tx, "gone@depot.example", who=WHO, now=now)
        administrator = users.by_email(tx, WHO)
        assert administrator
        users.set_password(tx, administrator["id"], passwords.hashed("correct horse battery"))
        access.create_token(tx, WHO, "wall screen", "read", who=WHO, now=now)
    db.conn.close()
    return patient
