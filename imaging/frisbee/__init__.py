"""The data plane: frisbee's wire protocol and image format, and the four commands that speak them.

It is usable alone, on the standard library and isal only, so that it fits in a small ramdisk.
Nothing here knows of nodes, sites or runs.
"""
