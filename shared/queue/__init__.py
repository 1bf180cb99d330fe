"""The services' truth: jobs, titles, stage runs, events and artifacts in SQLite or PostgreSQL."""
