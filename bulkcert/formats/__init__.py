"""Hostile bytes in, values out: the only room that reads what a client uploaded."""
