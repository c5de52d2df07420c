"""What list pages and forms say: addresses of other pages, and what stands beside a field after a refusal."""

from __future__ import annotations

from appliance.errors import InputError, NotFound
from web.forms import Form, refused
from web.lists import ROWS, Listing, offset


def test_a_list_knows_its_neighbours() -> None:
    middle = Listing("/invoices", list(range(ROWS)), 120, 2, (("state", "issued"), ("q", "")))
    assert (middle.first, middle.last) == (51, 100)
    assert middle.previous == "/invoices?state=issued"
    assert middle.next == "/invoices?state=issued&page=3"
    assert offset(3) == 2 * ROWS


def test_another_filter_begins_at_its_first_page() -> None:
    listing = Listing("/invoices", list(range(ROWS)), 120, 2, (("state", "issued"),))
    assert listing.address(state="paid") == "/invoices?state=paid"
    assert listing.address(state="") == "/invoices"


def test_the_last_page_and_the_empty_list_lead_nowhere() -> None:
    assert Listing("/jobs", list(range(20)), 120, 3).next == ""
    empty = Listing("/jobs", [], 0)
    assert (empty.first, empty.last, empty.previous, empty.next) == (0, 0, "", "")


def test_what_is_in_an_address_is_encoded() -> None:
    assert Listing("/jobs", [], 0, 1, (("q", "a&b=ü"),)).address() == "/jobs?q=a%26b%3D%C3%BC"


def test_a_refusal_stands_beside_the_field_it_is_about_and_what_was_typed_stays() -> None:
    form = refused("add", {"email": "ann", "name": "Ann"}, InputError("expected an address", subject="email 'ann'"))
    assert form.problem("add", "email") == "Expected an address."
    assert form.value("add", "name", "stored") == "Ann"
    assert form.is_open("add")
    assert not form.problem("add")


def test_a_refusal_about_something_else_stands_above_the_form() -> None:
    form = refused("add", {"name": "Ann"}, NotFound("no such payer", subject="payer 'X'", hint="add it first"))
    assert form.problem("add") == "Payer 'X': no such payer; add it first."


def test_another_form_of_the_page_shows_what_is_stored() -> None:
    form = refused("add", {"name": "Ann"}, InputError("expected a text", subject="name"))
    assert form.value("edit", "name", "Bob") == "Bob"
    assert not form.is_open("edit")
    assert Form().value("edit", "note", None) == ""
