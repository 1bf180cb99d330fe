"""Probes on frozen embeddings of video, sound or both."""
