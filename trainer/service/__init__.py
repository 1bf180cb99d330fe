"""Trainings of the services: the task that makes shards, starts the training and follows it. No torch here."""
