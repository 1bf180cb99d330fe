"""A run's metrics as one page with curves."""

from trainer.curves.page import draw_page

__all__ = ["draw_page"]
