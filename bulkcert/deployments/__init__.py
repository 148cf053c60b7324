"""Deployments: what is on its way to devices."""
