"""The second look at hits: rules first, then the LLM; what neither decides waits for an operator.

The rules run in the transaction that records the hit. The LLM is asked by tasks of `llm_queue`.
"""
