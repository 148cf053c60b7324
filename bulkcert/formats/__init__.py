"""Hostile bytes in, values out: the only room that reads what a client uploaded."""

import warnings

# The library warns of one file in ten ("could not be parsed as DER", a negative serial number), at the line
# that called it. Once for the process: catching each takes microseconds a file, and is not for threads.
for _module in (r"bulkcert\.formats\.", r"cryptography\.x509\."):
    warnings.filterwarnings("ignore", module=_module)
