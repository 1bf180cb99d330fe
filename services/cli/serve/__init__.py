"""What keeps the services running on one machine."""
