"""`python -m bench.match`: measures the matching of messages with keywords beside other ways to do it."""
