"""Rows of imports and deletions, their items and the work that waits."""
