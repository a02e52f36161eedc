"""What a process has loaded is not walked through again by the garbage collector."""

from __future__ import annotations

import subprocess
import sys

PROCESS = """
import gc
from backend.serving import child

loaded = len(gc.get_objects())
child.leave_out_of_collections()
assert gc.get_freeze_count() > 0.9 * loaded, (gc.get_freeze_count(), loaded)
assert len(gc.get_objects()) < 0.1 * loaded
assert gc.get_threshold()[0] == child.YOUNG_OBJECTS
"""


def test_what_is_loaded_is_left_out_of_collections() -> None:
    subprocess.run([sys.executable, "-c", PROCESS], check=True)
