"""People to whom no bot writes any more: recorded, imported, looked up."""
