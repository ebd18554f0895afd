"""The sandbox with campaigns in it, as `make up` and the demo use it."""
