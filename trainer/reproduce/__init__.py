"""A synthetic cinema with known factors, in which the controlled comparison runs on two cores (docs/reproduce.md)."""
