"""What services tell about themselves: logs and traces. Metrics come from the database and are the API's."""
