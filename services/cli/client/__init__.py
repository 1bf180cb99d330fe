"""A client of a Counterdub server: send, follow, fetch."""
