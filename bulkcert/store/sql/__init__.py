"""The two database engines, and what both need."""
