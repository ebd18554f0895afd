"""From an event to a notification that was sent. Imports `notifier.channels`, but not the reverse."""
