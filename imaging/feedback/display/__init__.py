"""What people look at while a run lasts: full screen, region of a terminal, or lines."""
