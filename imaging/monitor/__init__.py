"""The monitor: what the nodes of a testbed are doing, for as long as one wants to know.

Probes give observations (``observations``), which are folded into the state that all faces draw
(``testbed``); a face never asks a node anything. This is a room beside ``operations``, because
nothing here has an end or an outcome, and no node is changed.
"""
