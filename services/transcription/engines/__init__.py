"""Engines that write down speech."""
