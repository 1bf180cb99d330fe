"""Tests of :mod:`shared.schemas`."""
