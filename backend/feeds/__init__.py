"""Feeds that are fetched and imported on a schedule; each has a row with its address and time.

Reading order: `options` (how a feed is read), `feeds` (the rows), `schedule` (when it is due, and
its job), `download` and `workspace` (from an address to a temporary file), `runs` (the history),
`importing` (one run from beginning to end).
"""
