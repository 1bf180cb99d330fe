"""Translations that people give, aligned to the lines of a title: which cue is whose text."""
