"""imaging: put a disk image on 1 to 1000 bare-metal nodes at once.

A command flows one way, and imports go strictly downwards (``tests/test_layers.py``)::

    7  __main__     ``python -m imaging``
    6  cli          one file per command; ``session`` is the one way every command runs
    5  operations   the life of a run, and of one node in it
       monitor      the whole testbed watched: nothing is changed, and nothing has an end
    4  node         the faces of one node: nextboot, power cards, ramdisk, console, ssh
       images       the image library
       multicast    the frisbee server process
       leases       who may act now
    3  feedback     what is told of a run: events, outcomes, displays, reports, log, history
    2  site         settings, inventory, selection, locks: known before anything happens
    1  frisbee      the data plane, usable alone
       guard        the process that cleans up after a killed command
       database     SQLite files
       _aio         the asyncio loop
    0  errors       what went wrong, at which step, and what helps
       jitter       how long is waited between two attempts

Beside them, and imported by cli only::

       testbed      the virtual testbed: uses site and frisbee, never operations
       ramdisk      the imaging ramdisk, built and checked: uses site and frisbee
"""

import time

__version__ = "0.1.0.dev0"

STARTED = time.monotonic()
"""When the command began: its --timeout counts from here, the imports included."""
