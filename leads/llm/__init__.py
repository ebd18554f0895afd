"""The LLM: what it is asked (`prompt`) and the request itself (`client`).

Only this package of the room waits for the network.
"""
