"""Wiring: the one place where parts meet."""
