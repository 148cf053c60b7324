"""Imports: from an uploaded bundle to certificates that are kept."""
