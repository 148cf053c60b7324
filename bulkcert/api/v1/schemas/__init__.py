"""What requests to `/api/v1` hold, and its answers."""
