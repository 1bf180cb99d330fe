"""A chunk of lines spoken: wordings of the right length, synthesised, checked, put in place."""
