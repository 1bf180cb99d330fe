"""Last stages: level, tracks, shots, measures, and the tables, report and dataset of pairs."""
