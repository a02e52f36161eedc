"""The embedded index: one qdrant-edge shard, in the process that owns it.

- `owner`: the lock that makes a process the owner, and the address where it answers
- `index`: the `VectorIndex` of one generation; `queries`: what it sends to the engine
- `asked`: the index in a process that asks the owner for each call
- `store`: the shard that answers, opened by the first call and replaced while in use; `handle`: an
  open shard; `copy`: making two shards equal; `folders`: the files on disk
- `shard`: opening a shard, and the engine's errors
- `optimizer`: replaces shards that need a graph, when `policy` says so; `build_process`: the
  process that builds one, seen by its parent; `build`: the building itself, in that process

How a shard is replaced, and what was measured: `docs/embedded-store.md`. This module imports none
of them, so that the engine is loaded only where it is used.
"""
