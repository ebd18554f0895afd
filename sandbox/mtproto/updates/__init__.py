"""The updates that the server sends to clients, and the world as each client sees it."""
