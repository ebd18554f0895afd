"""Change lists: bounded counts, filters, search terms, and the rows that an action applies to."""
