"""Pure functions for sound: float32 numpy arrays in, float32 numpy arrays out."""
