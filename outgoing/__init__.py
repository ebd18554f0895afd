"""Where this installation may connect to when an operator, and not the environment, has entered the address."""
