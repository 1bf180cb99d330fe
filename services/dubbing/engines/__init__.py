"""Engines that speak, and that give speech another voice."""
