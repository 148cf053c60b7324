"""The clock of the service."""

from bulkcert.store.clock import Clock, utc_now

__all__ = ["Clock", "utc_now"]
