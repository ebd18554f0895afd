"""A person's data across all rooms: found, exported and erased.

Each room registers its part in its app's `ready` (`privacy.registry`). This room has no models.
"""
