"""What a process does besides answering requests: the queue, the jobs, maintenance.

Reading order: `loop` (what is done when), `rounds` (embed and apply), `handlers` (jobs),
`maintenance`, `claim_size`; `threads` runs it beside the API, and
`owner` in a process of its own that others ask; `first_lists` does what shoppers would wait for.
"""
