"""The synthetic cinema: what is said, who speaks, what is seen and heard, and one world of it on disk."""
