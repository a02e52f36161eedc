"""HTTP: from a socket to the WSGI app. A slow client takes a file descriptor, but no thread.

Reading order: `protocol` (one connection, over uvicorn's own protocol: limits and deadlines of a
header), `gateway` (one request: its body with a deadline, a bounded queue, the app in a thread),
`short_reads` (what needs no thread either), `server` (the loop of one process, and how it stops),
`master` (the processes), `listening`.
"""
