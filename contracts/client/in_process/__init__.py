"""A Python client in one situation, in virtual time."""
