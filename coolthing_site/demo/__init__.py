"""`manage.py demo`: plays both modes against the sandbox, then compares what was sent with our ledger."""
