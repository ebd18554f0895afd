"""The HTTP API: how far an assignment has come."""
