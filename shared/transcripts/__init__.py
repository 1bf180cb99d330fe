"""Transcripts and translations that people give: read in any form, cleaned, held against the film."""
