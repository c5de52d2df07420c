"""The second look at the broker's files before it is told of them."""

from __future__ import annotations

import pytest

from appliance.errors import Refused
from appliance.servers import accounts
from appliance.storage.devices import Account

HASH = accounts.password_hash("x")
KNOWN = [
    Account("van1-1", HASH, "van1", first=True),
    Account("van1-2", None, "van1", first=False),
    Account("van2-1", accounts.password_hash("y"), "van2", first=True),
]


def test_what_is_made_for_devices_passes() -> None:
    passwords, acl = accounts.canary_files("z")
    accounts.audit(passwords + accounts.passwords_file(KNOWN), acl + accounts.acl_file(KNOWN), KNOWN)


def test_a_device_with_a_certificate_has_rights_and_no_password() -> None:
    assert "van1-2" not in accounts.passwords_file(KNOWN)
    assert "user van1-2\n" in accounts.acl_file(KNOWN)


@pytest.mark.parametrize("acl", [
    "topic read depot/v1/vehicles/van1/ack/x\n",
    "user van9-1\n",
    "user van1-1 \n",
    "user van1-1\ntopic read depot/v1/vehicles/van2/assignment\n",
    "user van1-1\ntopic write depot/v1/vehicles/+/gps\n",
    "user van1-1\ntopic write depot/v1/vehicles/van1/#\n",
    "user van1-1\ntopic write depot/v1/vehicles/van1\n",
    "user van1-1\ntopic write depot/v1/vehicles/van11/gps\n",
    "user van1-1\ntopic readwrite depot/v1/vehicles/van1/gps\n",
    "user van1-1\ntopic depot/v1/vehicles/van1/gps\n",
    "user van1-1\ntopic write owntracks/van2-1/#\n",
    "user van1-1\ntopic write owntracks/+/#\n",
    "user van1-1\ntopic write  depot/v1/vehicles/van1/gps\n",
    "user van1-1\npattern write depot/v1/vehicles/van1/gps\n",
    "user canary\ntopic write depot/v1/canary/foreign/out\n",
    "# a remark\n",
    "user van1-1\n\x00\n",
])  # fmt: skip
def test_a_line_that_gives_more_than_its_own_is_refused(acl: str) -> None:
    with pytest.raises(Refused, match="ACL line"):
        accounts.audit("", acl, KNOWN)


@pytest.mark.parametrize(
    "passwords", [f"van9-1:{HASH}\n", "van1-1:\n", "van1-1\n", f"van1-2:{HASH}\n", f"van2-1:{HASH}\n"]
)
def test_a_login_that_is_not_the_devices_own_is_refused(passwords: str) -> None:
    with pytest.raises(Refused, match="password line"):
        accounts.audit(passwords, "", KNOWN)
