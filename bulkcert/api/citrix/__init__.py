"""The Citrix-compatible API."""
