"""`python -m appliance`, and the first thing that the frozen program runs."""

import os
import signal
import sys
from contextlib import suppress

from appliance import lifeline


def end_with_the_bootloader() -> None:
    """As one file the program runs below the process that unpacked it: when that is killed, this one ends as well."""
    parent = os.getppid()
    with suppress(OSError):  # the parent is somebody else's
        if os.readlink(f"/proc/{parent}/exe") == os.readlink("/proc/self/exe"):
            lifeline.die_with_parent(parent, signal.SIGTERM)


if __name__ == "__main__":
    if getattr(sys, "frozen", False):
        import multiprocessing
        import warnings

        import billiard

        # No invoice has a picture, so the frozen program has nothing to read one with; fpdf2 warns of it.
        warnings.filterwarnings("ignore", message="Pillow could not be imported")
        # A frozen program is its own interpreter: children of a pool start it again and are sorted out here.
        billiard.freeze_support()
        multiprocessing.freeze_support()
        end_with_the_bootloader()

    from appliance.cli.main import main

    main()
