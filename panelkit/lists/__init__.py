"""Change lists: bounded counts, filters, search terms, and the rows that an action on a list is about."""
