"""What each handler asks for, in one table. A handler that is not in it answers nobody.

`always`: anybody, also before the box is set up. `anyone`: anybody, once it is. `metrics`: a program on this machine,
or whoever may view. `own`: a person who is logged in, about themselves; no token. Else the permission that is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from appliance.domain.access import Permission

Need = Permission | Literal["always", "anyone", "metrics", "own"]

HANDLERS: Mapping[str, Need] = {
    "healthz": "always",
    "asset": "always",
    "favicon": "always",
    "setup_page": "always",  # asks for the code of the box, and has nothing to do once that was used
    "set_up": "always",
    "options_handler": "always",  # Litestar's own: which methods an address has
    "ca_certificate": "always",
    "metrics": "metrics",
    "login_page": "anyone",
    "log_in": "anyone",
    "sign_in": "anyone",
    "password_page": "anyone",
    "set_password": "anyone",
    "log_out": "own",
    "account_page": "own",
    "change_password": "own",
    # Pages
    "index": Permission.view,
    "board_fragment": Permission.view,
    "strip_fragment": Permission.view,
    "trip_page": Permission.view,
    # The API's description of itself: Litestar's names
    "_handler": Permission.view,
    "handle_schema_path_not_found": Permission.view,
    # Vehicles and fixes
    "list_vehicles": Permission.view,
    "vehicle_trail": Permission.view,
    "list_alerts": Permission.view,
    "list_drivers": Permission.view,
    "fleet_live": Permission.view,
    "list_rejected": Permission.view,
    "restore_rejected": Permission.dispatch,
    "list_outliers": Permission.view,
    "overrule_outlier": Permission.dispatch,
    # Master data
    "list_vehicle_records": Permission.view,
    "add_vehicle": Permission.administer,
    "change_vehicle": Permission.administer,
    "disable_vehicle": Permission.administer,
    "enable_vehicle": Permission.administer,
    "list_devices": Permission.administer,
    "add_device": Permission.administer,
    "revoke_device": Permission.administer,
    "make_source": Permission.administer,
    "list_driver_records": Permission.dispatch,
    "get_driver": Permission.dispatch,
    "add_driver": Permission.administer,
    "change_driver": Permission.administer,
    "disable_driver": Permission.administer,
    "enable_driver": Permission.administer,
    "list_expiring": Permission.view,
    "search_patients": Permission.patients,
    "get_patient": Permission.patients,
    "add_patient": Permission.patients,
    "change_patient": Permission.patients,
    "record_consent": Permission.patients,
    "erase_patient": Permission.administer,
    "list_payers": Permission.bill,
    "get_payer": Permission.bill,
    "add_payer": Permission.bill,
    "change_payer": Permission.bill,
    "list_rates": Permission.bill,
    "add_rate": Permission.bill,
    # Trips
    "list_trips": Permission.view,
    "get_trip": Permission.view,
    "trip_trail": Permission.view,
    "trip_live": Permission.view,
    "create_trip": Permission.dispatch,
    "add_event": Permission.dispatch,
    "import_trips": Permission.dispatch,
    # Money
    "list_unbilled": Permission.view,
    "release_trip": Permission.bill,
    "ask_for_invoice": Permission.bill,
    "list_invoices": Permission.view,
    "get_invoice": Permission.view,
    "invoice_as_pdf": Permission.view,
    "aging": Permission.view,
    "list_adjustments": Permission.view,
    "accept_adjustment": Permission.bill,
    "dismiss_adjustment": Permission.bill,
    "void_invoice": Permission.bill,
    "add_payment": Permission.bill,
    "dispute_invoice": Permission.bill,
    "settle_invoice": Permission.bill,
    "send_invoice": Permission.bill,
    # Work
    "list_jobs": Permission.view,
    "get_job": Permission.view,
    "retry_job": Permission.administer,
    "retry_failed": Permission.administer,
    "discard_job": Permission.administer,
    "revoke_job": Permission.administer,
    "read_work_history": Permission.view,
    "list_queues": Permission.view,
    "pause_queue": Permission.administer,
    "resume_queue": Permission.administer,
    "purge_queue": Permission.administer,
    "list_schedules": Permission.view,
    "set_schedule": Permission.administer,
    "pause_schedule": Permission.administer,
    "resume_schedule": Permission.administer,
    "delete_schedule": Permission.administer,
    "run_schedule": Permission.administer,
    "system": Permission.view,
}
