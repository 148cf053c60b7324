"""Rows of certificates, their chains, keys and devices."""
