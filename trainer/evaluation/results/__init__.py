"""Results that last: records, tables, significance, a page."""
