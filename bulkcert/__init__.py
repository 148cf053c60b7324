"""bulkcert: a zip of per-device PKCS#12 files in, sealed certificates and an answer per device out."""

__version__ = "0.1.0"
