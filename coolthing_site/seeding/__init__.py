"""`manage.py seed_campaigns`: reads a seed file, checks it, and writes it to the database."""
