"""The parts of the manual that no person writes: its links, its list of pages, its reference.

Reading order: `pages` (what is added), `links`, `navigation`, then a page of the reference.
"""
