"""Layout and schemas of the output folder, as documented in docs/output.md."""
