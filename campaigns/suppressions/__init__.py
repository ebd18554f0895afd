"""People whom nobody writes to any more: recorded, imported, looked up."""
