"""Property lists that devices wrote: hostile, like everything that comes from outside.

plistlib refuses entity declarations itself, so that nothing expands; size is bounded by the caller, and depth
by Python's own recursion limit.
"""

import plistlib
import struct
from xml.parsers.expat import ExpatError

from bulkcert.errors import MalformedRequest

Plain = dict[str, object]

_FAULTS = (
    plistlib.InvalidFileException, ExpatError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    OverflowError, RecursionError, MemoryError, LookupError, EOFError, struct.error,
)  # fmt: skip
"""What plistlib (3.11 to 3.14) lets through of its own accord for files that are not of its form."""


def read_plist(content: bytes) -> Plain:
    """Read a property list, XML or binary, whose root is a dictionary; raises `MalformedRequest`."""
    try:
        found = plistlib.loads(content)
    except _FAULTS:
        raise MalformedRequest("The device's message is not a property list.") from None
    if not isinstance(found, dict):
        raise MalformedRequest("The device's message is not a dictionary.")
    return found
