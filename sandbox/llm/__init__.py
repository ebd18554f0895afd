"""The local LLM: an endpoint like OpenAI's, and the rules by which it answers."""
