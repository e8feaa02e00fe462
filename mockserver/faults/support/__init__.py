"""Helpers that several faults share."""
