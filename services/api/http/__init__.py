"""What HTTP asks of every route: errors, pages, ranges, limits on slow clients."""
