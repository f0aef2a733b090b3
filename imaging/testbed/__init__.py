"""The virtual testbed: nodes that are actors on the wire, on one machine, without privilege.

Each node has loopback addresses of its own, a CMC that speaks HTTP, firmware that obeys the
nextboot link, a ramdisk with a telnet shell that runs real commands on a real disk file, and an
operating system that answers ssh when its disk is bootable.
"""
