"""Form fields: secrets that are written and never read back, and choices that offer only what works."""
