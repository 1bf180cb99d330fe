"""First stage: look at a submitted video, cut it into shots and chunks, take its sound."""
