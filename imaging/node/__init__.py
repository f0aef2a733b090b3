"""The faces of one node: its nextboot link, its power card, the console of its ramdisk."""
