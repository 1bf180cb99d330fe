"""Planner, executor and the contract of a stage. One planner decides what is ready; executors run it."""
