"""Rules that need no models: quiet hours, disclosure, duration limits, and the locks that make a stop take effect.

`notices` notifies the senders that the gate has to check deliveries again.
"""
