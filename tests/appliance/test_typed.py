"""What people type is judged where it is typed."""

from __future__ import annotations

import pytest

from appliance import typed
from appliance.errors import InputError


@pytest.mark.parametrize("given", ["ann@example.org", "o'neil+x@m\u00fcnchen.example", "ann@localhost", "a.b-c@x-y.z"])
def test_an_address_of_a_person_is_taken_as_it_is(given: str) -> None:
    assert typed.address(f" {given} ", "email") == given


@pytest.mark.parametrize(
    "given",
    [
        "a@b,c", "q\0b@x.example", "q\x1b[31m@b.example", '"x"<q>@z', "a..b@c.d", ".a@b", "a.@b", "a@-b.c", "a@b..c",
        "a@b.", "a b@c.d", "a@b@c.d", "\u00e9@b.c", f"{'x' * 65}@b.c", f"a@{'b.' * 130}c",
    ],
)  # fmt: skip
def test_what_no_relay_takes_for_an_address_is_refused_at_once(given: str) -> None:
    with pytest.raises(InputError, match="expected an address like"):
        typed.email(given, "email")
