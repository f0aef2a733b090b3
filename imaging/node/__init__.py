"""The faces of one node: its nextboot link, its power card, its ramdisk, ssh on its system."""
