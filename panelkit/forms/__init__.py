"""Form fields: secrets, which are written but never shown, and pickers that offer only suitable rows."""
