"""Store: the only room that knows SQL."""
