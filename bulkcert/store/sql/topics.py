"""Topics of notifications between processes."""

WORK = "work"
"""The topic of idle workers: there is new work."""

MDM = "mdm"
"""The topic of the deployer: there are commands to send."""


def request_topic(request_id: str) -> str:
    """Return the topic of an import: some of its items are done."""
    return f"request {request_id}"
