"""Careful clients in the styles that people write them, none of which may be accused of anything."""
