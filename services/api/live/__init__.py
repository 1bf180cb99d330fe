"""Events as they happen, read once for everybody who listens."""
