"""Processes: what `serve` starts, and who keeps it alive."""
