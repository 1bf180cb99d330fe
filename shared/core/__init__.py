"""What everything else stands on: records, errors, settings, languages, text, the artifact store."""
