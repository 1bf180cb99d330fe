"""Who asks, what is theirs, and how much they may use."""
