"""Rules that need no models: quiet hours, disclosure, duration limits, and the locks that make a stop take effect."""
