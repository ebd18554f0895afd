"""The HTTP API, which reports the progress of assignments."""
