"""`manage.py demo`: runs scripts and leads in the sandbox, then compares the sandbox's messages with the ledger."""
