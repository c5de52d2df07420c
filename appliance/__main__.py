"""`python -m appliance`, and the first thing that the frozen program runs."""

import sys

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

    from appliance.cli.main import main

    main()
