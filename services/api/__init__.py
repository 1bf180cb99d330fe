"""The REST interface ``/v1``: jobs in, events and artifacts out."""
