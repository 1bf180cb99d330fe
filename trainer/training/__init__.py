"""The training itself: the loop, what is kept of it, and how it goes on."""
