"""What is kept of a run: transcripts and history, and what earlier runs say about this one."""
