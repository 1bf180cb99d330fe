"""Second stage: split a mix into vocals and background."""
