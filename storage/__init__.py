"""The only place that speaks SQL: one database, SQLite or PostgreSQL, with one module per door."""
