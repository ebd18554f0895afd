"""The parts of every room's admin pages. It knows no room."""
