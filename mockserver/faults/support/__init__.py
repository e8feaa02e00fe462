"""What several faults have in common."""
