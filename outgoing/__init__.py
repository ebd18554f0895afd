"""Where this installation may connect to when an operator has entered the address, and the requests to the LLM."""
