"""What Prometheus reads: the counts of all processes, and what SQL and the disks say.

Reading order: `exposition` (all parts of an answer), `parts` (a part that is slow or fails is
left out), `catalogue` and `disks` (what is read), `own_port` (a port for Prometheus alone).
"""

from backend.monitoring.exposition import API, Exposition, of_installation, of_processes
from backend.monitoring.own_port import MetricsServer, show_apart

__all__ = ["API", "Exposition", "MetricsServer", "of_installation", "of_processes", "show_apart"]
