"""Chat owners' permissions: recorded, suspended, revoked, and whether one is in force."""
