"""What is on a disk: partition tables, and the space that file systems do not use.

Nothing here trusts the disk. Whatever is unknown or inconsistent ends in an error of ours: a
`LabelError`, and nothing is saved, or a `LayoutError`, and that partition is saved whole.
"""
