"""Finds, exports and erases a person's data in all rooms.

Each room registers its part in its app's `ready` (`privacy.registry`). This room has no models.
"""
