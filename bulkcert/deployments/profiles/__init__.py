"""From a stored certificate and a VPN policy to what a device installs."""
