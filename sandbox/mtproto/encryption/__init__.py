"""Keys and encryption: the key exchange, authorization keys, encrypted packets."""
