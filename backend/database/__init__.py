"""The database: rows, engine, migrations. Only this package tells PostgreSQL from SQLite.

Read `models` (the rows), `engine` (sessions for reading and writing), `migrate`, then what differs
between the two databases: `dialect`, `upsert` and `locks`. Conditions on JSON are the exception:
they stand in `catalogue.filter_sql`.
"""
