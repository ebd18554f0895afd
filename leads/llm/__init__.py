"""The LLM: the prompt (`prompt`) and the request for an answer (`answers`).

In the leads app only this package waits for the network.
"""
