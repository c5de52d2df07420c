"""The first migration of `depot.db`. Never edited after a release: a change is a new migration.

Conventions: `id` is local, `uid` is a ULID that the central office knows; `*_at` is UTC text (see times.py); amounts
are integer minor units (`*_cents`); states are the words of `appliance/domain`. `version` moves on with each change
that a person may have to know of before the next one: who decides says which they saw (appliance/versions.py).
"""

FIRST = """
CREATE TABLE identity (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE users (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, email TEXT NOT NULL UNIQUE COLLATE NOCASE, name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('administrator', 'dispatcher', 'biller', 'viewer')),
  password_hash TEXT, wants_email INTEGER NOT NULL DEFAULT 1, disabled_at TEXT, created_at TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 1
) STRICT;

-- Only the hash of a token is kept; a link works once, until it expires.
CREATE TABLE sign_in_links (
  token_hash TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE password_links (
  token_hash TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL, used_at TEXT
) STRICT, WITHOUT ROWID;

-- A login in one browser. Ages by the clock that nobody can set: domain/access.py, Instant.
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, user_id INTEGER NOT NULL REFERENCES users (id),
  created_at TEXT NOT NULL, browser TEXT NOT NULL DEFAULT '', -- in words
  age_s REAL NOT NULL DEFAULT 0,         -- when it was last seen
  seen_at TEXT NOT NULL, seen_boot TEXT NOT NULL, seen_uptime_s REAL NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id, id);

CREATE TABLE api_tokens (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, user_id INTEGER NOT NULL REFERENCES users (id),
  name TEXT NOT NULL, scope TEXT NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
  token_hash TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL, expires_at TEXT, last_used_at TEXT, revoked_at TEXT
) STRICT;
CREATE INDEX api_tokens_user ON api_tokens (user_id, id);

CREATE TABLE patients (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, address TEXT NOT NULL DEFAULT '',
  phone TEXT NOT NULL DEFAULT '', email TEXT NOT NULL DEFAULT '',
  born_on TEXT,                          -- as a manifest said it: tells two of one name apart
  level TEXT CHECK (level IN ('ambulatory', 'wheelchair', 'stretcher', 'bariatric')), -- how the patient mostly travels
  needs TEXT NOT NULL DEFAULT '',        -- what whoever drives must know
  erased_at TEXT, created_at TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1
) STRICT;

-- Consent is a history: the newest row for a patient and purpose counts.
CREATE TABLE consents (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, patient_id INTEGER NOT NULL REFERENCES patients (id),
  purpose TEXT NOT NULL CHECK (purpose IN ('email')), given INTEGER NOT NULL CHECK (given IN (0, 1)),
  recorded_by TEXT NOT NULL, recorded_at TEXT NOT NULL
) STRICT;
CREATE INDEX consents_patient ON consents (patient_id, purpose, id);

CREATE TABLE payers (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('patient', 'broker', 'facility')),
  patient_id INTEGER REFERENCES patients (id), address TEXT NOT NULL DEFAULT '', email TEXT NOT NULL DEFAULT '',
  delivery TEXT NOT NULL CHECK (delivery IN ('mail', 'print')), terms_days INTEGER NOT NULL DEFAULT 30,
  created_at TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1,
  CHECK ((kind = 'patient') = (patient_id IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX payers_name ON payers (name) WHERE kind <> 'patient';

CREATE TABLE rates (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, payer_id INTEGER NOT NULL REFERENCES payers (id),
  level TEXT NOT NULL CHECK (level IN ('ambulatory', 'wheelchair', 'stretcher', 'bariatric')),
  valid_from TEXT NOT NULL, valid_to TEXT, base_cents INTEGER NOT NULL, per_unit_cents INTEGER NOT NULL,
  unit TEXT NOT NULL CHECK (unit IN ('km', 'mile')), free_units REAL NOT NULL DEFAULT 0,
  wait_per_min_cents INTEGER NOT NULL DEFAULT 0, free_wait_min REAL NOT NULL DEFAULT 0,
  after_hours_cents INTEGER NOT NULL DEFAULT 0, after_hours_from TEXT NOT NULL DEFAULT '20:00',
  after_hours_to TEXT NOT NULL DEFAULT '06:00', no_show_cents INTEGER NOT NULL DEFAULT 0,
  tax_bp INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX rates_payer ON rates (payer_id, level, valid_from);

CREATE TABLE vehicles (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  plate TEXT NOT NULL DEFAULT '', levels TEXT NOT NULL DEFAULT 'ambulatory',
  documents_expire_on TEXT,              -- the last day on which insurance and inspection are both valid
  disabled_at TEXT, created_at TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE devices (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, vehicle_id INTEGER NOT NULL REFERENCES vehicles (id),
  username TEXT NOT NULL UNIQUE, password_hash TEXT, certificate_serial TEXT UNIQUE,
  position_source INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, revoked_at TEXT,
  CHECK ((password_hash IS NULL) <> (certificate_serial IS NULL))
) STRICT;
CREATE UNIQUE INDEX devices_source ON devices (vehicle_id) WHERE position_source = 1 AND revoked_at IS NULL;

-- Which device was a vehicle's position source since when: a trail is that of its own time.
CREATE TABLE position_sources (
  id INTEGER PRIMARY KEY, vehicle_id INTEGER NOT NULL REFERENCES vehicles (id),
  device_id INTEGER NOT NULL REFERENCES devices (id), since TEXT NOT NULL
) STRICT;
CREATE INDEX position_sources_vehicle ON position_sources (vehicle_id, since);

-- Outliers that a person keeps in the trail: the fix of the vehicle's position source at that time.
CREATE TABLE overruled (
  vehicle_id INTEGER NOT NULL REFERENCES vehicles (id), at TEXT NOT NULL, decided_by TEXT NOT NULL,
  decided_at TEXT NOT NULL, PRIMARY KEY (vehicle_id, at)
) STRICT, WITHOUT ROWID;

-- The last word of a device, and since when it takes its vehicle offline: null unless no fix came after it.
CREATE TABLE device_statuses (
  device_id INTEGER PRIMARY KEY REFERENCES devices (id), word TEXT NOT NULL, offline_at TEXT
) STRICT;

CREATE TABLE drivers (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  phone TEXT NOT NULL DEFAULT '', email TEXT NOT NULL DEFAULT '', user_id INTEGER REFERENCES users (id),
  licence_no TEXT NOT NULL DEFAULT '',
  licence_expires_on TEXT, documents_expire_on TEXT, -- the last days on which they are valid
  unavailable_at TEXT,                   -- since when the driver cannot drive today, and gets no trip
  disabled_at TEXT, created_at TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1
) STRICT;

-- The trips of a driver who became unavailable, as they were before: what undoes it.
CREATE TABLE handovers (
  id INTEGER PRIMARY KEY, driver_id INTEGER NOT NULL REFERENCES drivers (id),
  to_driver_id INTEGER REFERENCES drivers (id), -- null: to nobody
  trips TEXT NOT NULL,                   -- JSON: of each its columns before, and its version after
  at TEXT NOT NULL, who TEXT NOT NULL, undone_at TEXT
) STRICT;

CREATE TABLE trips (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE,
  ref TEXT,                              -- the payer's or the recording's own trip number
  state TEXT NOT NULL, level TEXT NOT NULL DEFAULT 'ambulatory',
  payer_id INTEGER REFERENCES payers (id), patient_id INTEGER REFERENCES patients (id),
  vehicle_id INTEGER REFERENCES vehicles (id), driver_id INTEGER REFERENCES drivers (id),
  outbound_trip_id INTEGER REFERENCES trips (id),
  pickup_at TEXT NOT NULL, appointment_at TEXT, pickup_address TEXT NOT NULL, dropoff_address TEXT NOT NULL,
  pickup_lat REAL, pickup_lon REAL, dropoff_lat REAL, dropoff_lon REAL,
  accepted_at TEXT, en_route_at TEXT, arrived_pickup_at TEXT, on_board_at TEXT, arrived_dropoff_at TEXT,
  completed_at TEXT, cancelled_at TEXT, no_show_at TEXT, contact_attempts INTEGER NOT NULL DEFAULT 0,
  cancelled_by TEXT CHECK (cancelled_by IN ('patient', 'facility', 'broker', 'depot')),
  flagged_at TEXT, released_at TEXT,
  distance_m REAL, duration_s REAL, stops INTEGER, fixes INTEGER, completeness REAL, trail_closed_at TEXT,
  notes TEXT NOT NULL DEFAULT '',        -- what the driver must know
  unbilled_reason TEXT, version INTEGER NOT NULL DEFAULT 1, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX trips_ref ON trips (ref, coalesce(payer_id, 0)) WHERE ref IS NOT NULL;
CREATE INDEX trips_state ON trips (state, pickup_at);
CREATE INDEX trips_pickup ON trips (pickup_at);
CREATE INDEX trips_ended ON trips (coalesce(completed_at, no_show_at, cancelled_at));
CREATE INDEX trips_vehicle ON trips (vehicle_id, state);
CREATE INDEX trips_outbound ON trips (outbound_trip_id) WHERE outbound_trip_id IS NOT NULL;

CREATE TABLE trip_events (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, trip_id INTEGER REFERENCES trips (id),
  event_id TEXT UNIQUE,                  -- given by the device; the same event twice is one row
  event TEXT NOT NULL, at TEXT NOT NULL, received_at TEXT NOT NULL, from_state TEXT, to_state TEXT,
  accepted INTEGER NOT NULL, reason TEXT, source TEXT NOT NULL, who TEXT NOT NULL, odometer_km REAL,
  note TEXT NOT NULL DEFAULT ''          -- what a person said about it
) STRICT;
CREATE INDEX trip_events_trip ON trip_events (trip_id, id);

-- What the columns of a payer's manifests mean: JSON of domain/manifest.py, Layout.
CREATE TABLE manifest_layouts (
  payer_id INTEGER PRIMARY KEY REFERENCES payers (id), layout TEXT NOT NULL, changed_by TEXT NOT NULL,
  changed_at TEXT NOT NULL
) STRICT;

-- What a manifest said of a trip last: what only the depot has changed since is left alone by the next one.
CREATE TABLE manifest_trips (
  trip_id INTEGER PRIMARY KEY REFERENCES trips (id), said TEXT NOT NULL
) STRICT;

-- By which number a payer knows a patient.
CREATE TABLE members (
  payer_id INTEGER NOT NULL REFERENCES payers (id), member_id TEXT NOT NULL,
  patient_id INTEGER NOT NULL REFERENCES patients (id), PRIMARY KEY (payer_id, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_patient ON members (patient_id);

CREATE TABLE manifest_imports (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, payer_id INTEGER NOT NULL REFERENCES payers (id),
  at TEXT NOT NULL, who TEXT NOT NULL, file_name TEXT NOT NULL, digest TEXT NOT NULL, -- of the file, which is not kept
  days TEXT NOT NULL, added INTEGER NOT NULL, changed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
  unchanged INTEGER NOT NULL, kept INTEGER NOT NULL, bad INTEGER NOT NULL
) STRICT;

-- Who drives what, and when: besides a trip under way what makes a vehicle's outage worth an alert.
CREATE TABLE shifts (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, vehicle_id INTEGER NOT NULL REFERENCES vehicles (id),
  driver_id INTEGER NOT NULL REFERENCES drivers (id), starts_at TEXT NOT NULL, ends_at TEXT NOT NULL,
  created_by TEXT NOT NULL, created_at TEXT NOT NULL, CHECK (starts_at <= ends_at)
) STRICT;
CREATE INDEX shifts_vehicle ON shifts (vehicle_id, ends_at);

-- An outage of a vehicle at work, from when the dispatchers were told until it is well again.
CREATE TABLE alerts (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, vehicle_id INTEGER NOT NULL REFERENCES vehicles (id),
  state TEXT NOT NULL CHECK (state IN ('silent', 'stuck', 'offline')),
  since TEXT NOT NULL, opened_at TEXT NOT NULL, closed_at TEXT,
  off_duty_at TEXT,                      -- set while neither a trip nor a shift makes it matter
  trip_id INTEGER REFERENCES trips (id), driver_id INTEGER REFERENCES drivers (id)
) STRICT;
CREATE UNIQUE INDEX alerts_open ON alerts (vehicle_id) WHERE closed_at IS NULL;

CREATE TABLE invoices (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, number TEXT NOT NULL UNIQUE,
  trip_id INTEGER NOT NULL REFERENCES trips (id), payer_id INTEGER NOT NULL REFERENCES payers (id),
  state TEXT NOT NULL CHECK (state IN ('issued', 'paid', 'credited', 'disputed', 'void')),
  replaces_id INTEGER UNIQUE REFERENCES invoices (id),
  issued_on TEXT NOT NULL, due_on TEXT NOT NULL, issued_at TEXT NOT NULL, currency TEXT NOT NULL,
  total_cents INTEGER NOT NULL, tax_cents INTEGER NOT NULL,
  owed_cents INTEGER NOT NULL,           -- the total less payments and credits: triggers below keep it
  distance_m REAL,
  sent_at TEXT, print_listed_at TEXT, printed_at TEXT, voided_at TEXT, void_reason TEXT,
  document TEXT NOT NULL                 -- JSON of all that the PDF shows, frozen at issue
) STRICT;
CREATE UNIQUE INDEX invoices_one_live ON invoices (trip_id) WHERE state <> 'void';
-- For lists of very many, newest first: each is read and counted in one of these alone.
CREATE INDEX invoices_issued ON invoices (issued_on, id, state, total_cents, number, trip_id, payer_id);
CREATE INDEX invoices_state ON invoices (state, issued_on, id);
CREATE INDEX invoices_payer ON invoices (payer_id, issued_on, id, state);
CREATE INDEX invoices_trip ON invoices (trip_id);
-- For the sums of all invoices and payments, which are reckoned each night.
CREATE INDEX invoices_sums ON invoices (id, currency, state, total_cents);
CREATE INDEX invoices_owed ON invoices (due_on, id, owed_cents, payer_id, state)
  WHERE state = 'issued' AND owed_cents > 0;
CREATE INDEX invoices_to_print ON invoices (id)
  WHERE print_listed_at IS NOT NULL AND printed_at IS NULL AND state <> 'void';
CREATE INDEX invoices_unsent ON invoices (id)
  WHERE sent_at IS NULL AND print_listed_at IS NULL AND state <> 'void';
CREATE INDEX invoices_voided ON invoices (voided_at) WHERE state = 'void';

CREATE TABLE invoice_lines (
  id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL REFERENCES invoices (id), position INTEGER NOT NULL,
  kind TEXT NOT NULL, text TEXT NOT NULL, quantity TEXT NOT NULL, unit TEXT NOT NULL, unit_cents INTEGER NOT NULL,
  amount_cents INTEGER NOT NULL, UNIQUE (invoice_id, position)
) STRICT;

CREATE TABLE invoice_counters (
  year INTEGER NOT NULL, series TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (year, series)
) STRICT, WITHOUT ROWID;

-- A later measure gave an invoiced trip another price; a person accepts or dismisses it, or a still later one ends it.
CREATE TABLE adjustments (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, invoice_id INTEGER NOT NULL REFERENCES invoices (id),
  old_distance_m REAL NOT NULL, new_distance_m REAL NOT NULL, new_total_cents INTEGER NOT NULL, raised_at TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'dismissed', 'lapsed')),
  decided_by TEXT, decided_at TEXT
) STRICT;
CREATE UNIQUE INDEX adjustments_open ON adjustments (invoice_id) WHERE state = 'open';

CREATE TABLE payments (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, invoice_id INTEGER NOT NULL REFERENCES invoices (id),
  amount_cents INTEGER NOT NULL, paid_on TEXT NOT NULL, origin TEXT NOT NULL CHECK (origin IN ('depot', 'centre')),
  reference TEXT NOT NULL DEFAULT '', recorded_by TEXT NOT NULL, recorded_at TEXT NOT NULL,
  key TEXT UNIQUE                        -- given by whoever recorded it: sent twice it is one payment
) STRICT;
CREATE INDEX payments_invoice ON payments (invoice_id);
CREATE INDEX payments_sums ON payments (origin, invoice_id, amount_cents);
CREATE TRIGGER payments_owed AFTER INSERT ON payments
  BEGIN UPDATE invoices SET owed_cents = owed_cents - new.amount_cents WHERE id = new.invoice_id; END;

-- A credit note: takes a part of an issued invoice back, or all of it. Numbered and frozen as an invoice is.
CREATE TABLE credit_notes (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, number TEXT NOT NULL UNIQUE,
  invoice_id INTEGER NOT NULL REFERENCES invoices (id), issued_on TEXT NOT NULL, issued_at TEXT NOT NULL,
  issued_by TEXT NOT NULL, currency TEXT NOT NULL, amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
  tax_cents INTEGER NOT NULL, reason TEXT NOT NULL, sent_at TEXT, print_listed_at TEXT, printed_at TEXT,
  document TEXT NOT NULL                 -- JSON of all that the PDF shows, frozen at issue
) STRICT;
CREATE INDEX credit_notes_invoice ON credit_notes (invoice_id, amount_cents);
CREATE INDEX credit_notes_issued ON credit_notes (issued_on);
CREATE INDEX credit_notes_to_print ON credit_notes (id) WHERE print_listed_at IS NOT NULL AND printed_at IS NULL;
CREATE TRIGGER credit_notes_owed AFTER INSERT ON credit_notes
  BEGIN UPDATE invoices SET owed_cents = owed_cents - new.amount_cents WHERE id = new.invoice_id; END;

-- One row a stage and invoice, ever: what keeps a reminder from being sent twice.
CREATE TABLE reminders (
  id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL REFERENCES invoices (id), stage INTEGER NOT NULL,
  created_at TEXT NOT NULL, UNIQUE (invoice_id, stage)
) STRICT;

CREATE TABLE mails (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL,
  key TEXT NOT NULL,                     -- what it is about: one mail a kind and key
  message_id TEXT NOT NULL UNIQUE, recipient TEXT NOT NULL, subject TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'parked')), attempts INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL, sending_at TEXT, sending_job TEXT, sent_at TEXT, last_error TEXT, UNIQUE (kind, key)
) STRICT;

CREATE TABLE notifications (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, user_id INTEGER NOT NULL REFERENCES users (id),
  type TEXT NOT NULL, message TEXT NOT NULL, created_at TEXT NOT NULL, read_at TEXT,
  key TEXT, UNIQUE (user_id, key)        -- what it is about: the same again is one message
) STRICT;
CREATE INDEX notifications_unread ON notifications (user_id) WHERE read_at IS NULL;

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,                   -- is Celery's task id
  name TEXT NOT NULL, queue TEXT NOT NULL, arguments TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed', 'waiting', 'discarded')),
  key TEXT,                              -- at most one job that has not begun a key
  attempts INTEGER NOT NULL DEFAULT 0,   -- claims: fences the effect of one against the next
  failures INTEGER NOT NULL DEFAULT 0,   -- errors and dead workers: three park the job
  waits INTEGER NOT NULL DEFAULT 0,      -- how often it waited for the network or a relay, one after another
  due_at TEXT NOT NULL, created_at TEXT NOT NULL, sent_at TEXT, sends INTEGER NOT NULL DEFAULT 0,
  worker TEXT, claimed_at TEXT, finished_at TEXT, result TEXT, error TEXT, traceback TEXT,
  decided_by TEXT, decided_at TEXT        -- who last retried it or gave it up
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_open ON jobs (due_at) WHERE state IN ('pending', 'waiting');
-- What the sweeper looks at every second: due and without a message, and with one.
CREATE INDEX jobs_unsent ON jobs (due_at)
  WHERE state IN ('pending', 'waiting') AND (sent_at IS NULL OR sent_at < due_at);
CREATE INDEX jobs_sent ON jobs (queue, sent_at) WHERE state IN ('pending', 'waiting') AND sent_at >= due_at;
CREATE INDEX jobs_running ON jobs (claimed_at) WHERE state = 'running';
CREATE INDEX jobs_finished ON jobs (state, finished_at);
-- Not the running ones: they may have read before the change that asks again.
CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key IS NOT NULL AND state IN ('pending', 'waiting');

CREATE TABLE schedules (
  name TEXT PRIMARY KEY, task TEXT NOT NULL, arguments TEXT NOT NULL DEFAULT '{}',
  every_s REAL, crontab TEXT, zone TEXT NOT NULL DEFAULT '', -- empty: the depot's own
  enabled INTEGER NOT NULL DEFAULT 1,
  last_run_at TEXT, next_run_at TEXT, missed INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 1, CHECK ((every_s IS NULL) <> (crontab IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE queue_pauses (
  queue TEXT PRIMARY KEY, paused_at TEXT NOT NULL, paused_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How much waited and ran, once a minute, for the charts; kept for 30 days.
CREATE TABLE queue_samples (
  at TEXT NOT NULL, queue TEXT NOT NULL, waiting INTEGER NOT NULL, running INTEGER NOT NULL, PRIMARY KEY (at, queue)
) STRICT, WITHOUT ROWID;

-- How far the changes of each GPS day file have been worked through.
CREATE TABLE gps_watermarks (day TEXT PRIMARY KEY, change_id INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE replays (
  digest TEXT PRIMARY KEY, shift_ms INTEGER NOT NULL, chosen_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Immutable: what the central office must learn, chained by hashes (design section 9).
CREATE TABLE sync_log (
  epoch INTEGER NOT NULL, stream TEXT NOT NULL CHECK (stream IN ('invoices', 'trips', 'trails', 'reference')),
  seq INTEGER NOT NULL, kind TEXT NOT NULL, uid TEXT NOT NULL, snapshot TEXT NOT NULL,
  hash TEXT NOT NULL, chain TEXT NOT NULL, created_at TEXT NOT NULL, acknowledged_at TEXT,
  rejected_reason TEXT,                  -- the centre has it and does not take it: it is parked
  again INTEGER NOT NULL DEFAULT 0,      -- how often a person had it sent again
  PRIMARY KEY (epoch, stream, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX sync_log_waiting ON sync_log (stream, epoch, seq) WHERE acknowledged_at IS NULL;
CREATE INDEX sync_log_parked ON sync_log (stream, epoch, seq) WHERE rejected_reason IS NOT NULL;
CREATE INDEX sync_log_created ON sync_log (stream, created_at);
CREATE TRIGGER sync_log_immutable
  BEFORE UPDATE OF epoch, stream, seq, kind, uid, snapshot, hash, chain, created_at ON sync_log
  BEGIN SELECT RAISE(ABORT, 'sync_log rows are immutable'); END;
CREATE TRIGGER sync_log_kept BEFORE DELETE ON sync_log
  BEGIN SELECT RAISE(ABORT, 'sync_log rows are kept'); END;

-- The one line to the central office.
CREATE TABLE uplink (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  instance TEXT, centre TEXT, centre_key TEXT, key_id TEXT, expires_at TEXT, enrolled_at TEXT,
  news_after INTEGER NOT NULL DEFAULT 0, -- the last news of this instance that was applied
  flight TEXT,                           -- JSON of the envelope that was sent and not answered
  answered_at TEXT,                      -- when the centre last took what was sent
  problem TEXT, problem_status INTEGER, problem_at TEXT, -- since when nothing goes, and why
  failures INTEGER NOT NULL DEFAULT 0,   -- how often in a row no answer came
  retry_at TEXT,                         -- not before
  doubted INTEGER NOT NULL DEFAULT 0,    -- ask the centre first what it has: its database is another one
  recovered_epoch INTEGER NOT NULL DEFAULT 1, -- up to which what was lost at a restore is back, or given up
  freed_epoch INTEGER NOT NULL DEFAULT 1, -- up to which an administrator has trips billed without that
  receipts_from TEXT                     -- from when on nights are counted
) STRICT;
INSERT INTO uplink (id) VALUES (1);

-- Streams that the centre does not take as they are; the others go on.
CREATE TABLE uplink_stops (
  stream TEXT PRIMARY KEY, code TEXT NOT NULL, detail TEXT NOT NULL, since TEXT NOT NULL, retry_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- News from the centre, each once. `reason`: why it could not be applied.
CREATE TABLE downlink (
  kind TEXT NOT NULL CHECK (kind IN ('payment', 'dispute', 'dispute_resolved')), uid TEXT NOT NULL,
  number TEXT NOT NULL, at TEXT NOT NULL, amount_cents INTEGER NOT NULL, paid_on TEXT, reference TEXT NOT NULL,
  received_at TEXT NOT NULL, reason TEXT, PRIMARY KEY (kind, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX downlink_kept ON downlink (received_at) WHERE reason IS NOT NULL;

-- What the centre signed, the last of each night.
CREATE TABLE receipts (
  night TEXT PRIMARY KEY, at TEXT NOT NULL, received_at TEXT NOT NULL, kept_at TEXT NOT NULL, instance TEXT NOT NULL,
  whole INTEGER NOT NULL, receipt TEXT NOT NULL, signature TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
  subject_uid TEXT NOT NULL, detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX audit_log_subject ON audit_log (subject, subject_uid, id);
CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log
  BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log
  BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
"""
