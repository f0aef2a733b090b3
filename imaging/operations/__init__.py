"""The life of a run, and of one node in it, read from top to bottom."""
