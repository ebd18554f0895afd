"""`manage.py demo`: both modes from end to end against the sandbox, then what was said compared with our ledger."""
