"""Which rows become pairs, what was measured on them, and the proof that tracks do not leak."""
