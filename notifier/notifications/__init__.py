"""From an event to a notification that was sent. Imports `notifier.channels`, never the other way round."""
