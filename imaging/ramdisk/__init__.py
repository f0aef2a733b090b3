"""The imaging ramdisk: built from Debian packages, explained and checked; used by cli only.

A build flows one way: packages are fetched, their files chosen, and the tree of what was chosen
becomes the archive that the kernel unpacks. The same packages give the same bytes.
"""
