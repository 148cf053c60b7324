"""Integrity: what rows of the database must prove before keys are released for them."""
