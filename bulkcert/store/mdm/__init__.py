"""Rows of the MDM server, its devices and commands."""
