"""The sandbox with the demo's campaigns, for `make up` and the demo."""
