"""The API against its own description: Schemathesis as a process, and what it found."""
