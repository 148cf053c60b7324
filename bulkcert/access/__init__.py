"""Access: who may come in."""
