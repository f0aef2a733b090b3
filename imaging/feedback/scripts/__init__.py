"""What scripts get of a run: reports, events, lists of nodes, and the schemas of these."""
