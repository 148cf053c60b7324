"""Vault: sealing, and every place where sealed things stand."""
