"""ASN.1 in BER and DER."""
