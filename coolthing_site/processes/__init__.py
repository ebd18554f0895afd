"""Starts, watches and records the processes of the Procfile."""
