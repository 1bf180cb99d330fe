"""How commands talk: tables, progress, errors."""
