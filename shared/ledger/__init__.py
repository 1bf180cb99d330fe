"""The ledger: what is asked, planned, running, done and failed, on SQLite or PostgreSQL."""
