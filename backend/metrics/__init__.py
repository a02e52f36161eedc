"""What the processes count while they work, in memory; no SQL is read here.

Reading order: `instruments` (what is counted, and the functions that count), `snapshots` (how the
processes of one host add up), `counted` (sums of several processes as Prometheus' families). What
a scrape reads from SQL and disks is in `backend.monitoring`.
"""
