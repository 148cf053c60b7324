"""The uploaded bundle, its credentials, and lists of identities."""
