"""Three invented days as brokers send them: their columns, their times, their separators, their habits."""

from __future__ import annotations

from zoneinfo import ZoneInfo

ATLANTIC = ZoneInfo("America/New_York")
LONDON = ZoneInfo("Europe/London")

WEST = """\
Keystone Ride Network - Provider Manifest,,,,,,,,,,,,,,,,
Printed 02/02/2026,,,,,,,,,,,,,,,,
Trip Number,Leg,Trip Date,Pickup Time,Appt Time,Member Last Name,Member First Name,Member ID,DOB,Member Phone,\
Pickup Address,Pickup City,Pickup Zip,Dropoff Address,Dropoff City,Level of Service,Trip Status,Comments
88120041,A,02/03/2026,8:15 AM,9:00 AM,Okafor,Grace,KR-5512,04/17/1948,(412) 555-0148,"118 Linden Ave, Apt 3",\
Pittsburgh,15206,Shadyside Dialysis,Pittsburgh,WHC,Reserved,"Ramp at the back.
Ring twice"
88120041,B,02/03/2026,WC,,Okafor,Grace,KR-5512,04/17/1948,(412) 555-0148,Shadyside Dialysis,Pittsburgh,15232,\
"118 Linden Ave, Apt 3",Pittsburgh,WHC,Reserved,
88120077,A,02/03/2026,10:30 AM,11:15 AM,Brandt,Leon,KR-6108,11/02/1961,(412) 555-0190,9 Mill Run Rd,Etna,15223,\
Allegheny Clinic,Pittsburgh,AMB,Reserved,
88120102,A,02/03/2026,1:05 PM,2:00 PM,Ruiz,Marta,KR-7741,07/30/1990,(412) 555-0112,40 Bell St,Millvale,15209,\
Mercy Eye Center,Pittsburgh,GUR,Cancelled,member cancelled
"""

SEA = (
    "Booking Ref;Date;Collect;Appointment;Return;Patient;NHS No;Tel;From;To;Mobility;Remarks\r\n"
    "MB-301;13/02/2026;09:20;10:00;13:30;Zoë Brennan;485 777 3456;0151 496 0133;7 Muirhead Avenue;"
    "Broadgreen Hospital;wheelchair;\xa0\r\n"
    "MB-302;13/02/2026;0940;10:30;00:00;Alun Price;485 777 9912;0151 496 0177;31 Edge Lane;"
    "Royal Liverpool University Hospital;walks;Hard of hearing \u2013 knock\r\n"
    "MB-303;13/02/2026;quarter to ten;11:00;;Ida Noor;;0151 496 0120;2 Petherick Road;Alder Hey;chairlift;\r\n"
).encode("cp1252")

TABS = (
    "\ufeffride_id\tpickup_datetime\tappointment_datetime\tpassenger\tmember_id\tphone\torigin\tdestination\t"
    "service_type\tride_status\tinstructions\n"
    "r-7f01\t2026-02-03T07:45\t2026-02-03T08:30\tTom Vance\tH900\t555-0101\t5 Dock Rd\tHarbor Clinic\t"
    "ambulatory\tbooked\t\n"
    "r-7f02\t2026-02-03T14:10-05:00\t\tTom Vance\tH900\t555-0101\tHarbor Clinic\t5 Dock Rd\tambulatory\tbooked\t\n"
    "r-7f03\t2026-02-03T09:00\t2026-02-03T09:40\tAda Cole\tH901\t555-0102\t12 Hill St\tHarbor Clinic\t"
    "stretcher\tcanceled\t\n"
).encode()
