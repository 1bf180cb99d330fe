"""Engines that separate vocals from a mix."""
