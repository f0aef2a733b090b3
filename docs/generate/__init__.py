"""Writes the reference pages and the manual pages from the code: ``make reference``.

``commands``, ``settings`` and ``formats`` read the package; ``pages`` writes Markdown and
``manuals`` troff of what they have read. What no code says is in ``prose``.
"""
