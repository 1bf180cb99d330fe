"""What is heard and seen: full-length tracks at one level, shots, containers."""
