"""Kokoro-82M: its graph, phonemes and voices, and the engine that speaks with them."""
