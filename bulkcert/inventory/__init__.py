"""Inventory: what is kept is listed, deleted and released."""
