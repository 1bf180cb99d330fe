"""A run's metrics as one page with curves."""

from trainer.curves.page import write_page

__all__ = ["write_page"]
