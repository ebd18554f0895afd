"""A local Telegram (MTProto) server, a local LLM endpoint and simulated people, for the demo and the tests."""
