"""Rows of users, clients, their secrets and tokens."""
