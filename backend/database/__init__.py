"""The database: rows, engine, migrations, and what differs between PostgreSQL and SQLite.

Read `models` (the rows), `engine` (sessions for reading and writing), `migrate`, then the
differences: `dialect`, `upsert` and `locks`. Only conditions on JSON, which differ too, are in
`catalogue.filter_sql`.
"""
