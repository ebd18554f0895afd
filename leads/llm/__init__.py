"""The LLM: the prompt (`prompt`) and the request (`client`).

In the leads app only this package waits for the network.
"""
