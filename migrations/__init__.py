"""The database's history, as Alembic migrations; part of the wheel."""
