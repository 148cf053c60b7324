"""Rows of VPN policies and deployments."""
