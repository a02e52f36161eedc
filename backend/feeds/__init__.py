"""Feeds that are fetched and imported by themselves: a row says where one lies, and when it is due.

Reading order: `options` (how a feed is read), `feeds` (the rows), `schedule` (when it is due, and
its job), `download` and `workspace` (from an address to a temporary file), `runs` (the history),
`importing` (one run from beginning to end).
"""
