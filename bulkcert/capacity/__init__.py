"""Capacity: what anyone can hold is counted here before it is held."""
