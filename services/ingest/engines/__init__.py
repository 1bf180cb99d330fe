"""Engines that find where a camera cuts."""
