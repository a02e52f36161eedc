"""The previous release, as a database knows it: its tables, and the statements that it made.

`record` writes both into tests/migration/previous_release when a release is made; `schema` compares
its tables with today's, `statements` runs its statements on them.
"""

from __future__ import annotations

from typing import Final

from support.places import TESTS

FOLDER: Final = TESTS / "migration" / "previous_release"
DIALECTS: Final = ("sqlite", "postgresql")
