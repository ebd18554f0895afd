"""What every room's admin pages are made of. Knows no room."""
