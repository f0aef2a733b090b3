"""The tests, and where to look for one.

``test_ROOM_FILE.py`` is about ``imaging/ROOM/FILE.py``. ``test_cli_COMMAND.py`` runs the installed
command against a virtual testbed, as its users do. ``test_fuzz_*.py`` give what nobody would
write by hand; ``python -m tests.fuzz`` does so for hours. ``faults/`` is the table of what is
wrong with a node and what must come of it. ``test_layers.py`` and ``test_house.py`` are about the
tree itself.

Never collected, and each started by its target of the Makefile: ``bench/``, ``lab/``, ``soak.py``
and ``monitor_soak.py``.

``samples/`` and ``transcripts/`` were made by the C tools, ``screens/`` shows what people see. All
other files are what several tests share; each says at its top what it is.
"""
