"""What the admin pages of all rooms share. It imports no other room."""
