"""Middleware, error pages, limits of logins, and the metrics endpoint."""
