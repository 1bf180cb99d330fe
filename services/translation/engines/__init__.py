"""Engines that translate."""
