"""The clauses, by subject."""
