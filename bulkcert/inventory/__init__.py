"""Inventory: the certificates of devices: list them, delete them, hand their keys out."""
