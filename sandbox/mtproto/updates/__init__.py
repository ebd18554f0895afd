"""What clients are told unasked: updates, and the world as each client sees it."""
