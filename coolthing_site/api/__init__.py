"""Tokens and request limits of the API."""
