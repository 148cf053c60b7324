"""Topics: the names under which one process tells others that it committed something."""

WORK = "work"
"""The topic of workers that have nothing to do."""


def topic(request_id: str) -> str:
    """Name what is told to whoever waits for an import when something of it is done."""
    return f"request {request_id}"


TOPIC = "mdm"
"""What is notified in the database when there is something to send."""
