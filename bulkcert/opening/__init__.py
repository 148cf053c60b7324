"""Opening: PKCS#12 files are opened in a confined process, without the vault's keys and the database."""
