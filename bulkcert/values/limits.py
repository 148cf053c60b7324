"""How much one request, one file and one opening may cost; published at `/api/v1/limits`.

The numbers were measured against hundreds of real files: none that is in honest use comes near them
(docs/decisions/0008).
"""

from dataclasses import dataclass, field


def _limit(default: int, meaning: str) -> int:
    value: int = field(default=default, metadata={"help": meaning})
    return value


@dataclass(frozen=True)
class Limits:
    """Every limit with its default; sizes are in bytes."""

    bundle_bytes: int = _limit(512 * 1024**2, "largest upload")
    unpacked_bytes: int = _limit(2 * 1024**3, "what a bundle's entries may unpack to, taken together")
    entries: int = _limit(120_000, "entries in a bundle, or lines in a deletion list")
    credentials_file_bytes: int = _limit(16 * 1024**2, "largest credentials file or deletion list, unpacked")
    pkcs12_bytes: int = _limit(64 * 1024, "largest PKCS#12 file")
    kdf_iterations: int = _limit(
        3_000_000, "key derivation iterations of one PKCS#12, added up as it states them"
    )
    salt_bytes: int = _limit(1024, "longest salt in a PKCS#12")
    safes: int = _limit(40, "AuthenticatedSafe parts in one PKCS#12")
    certificates: int = _limit(20, "certificates in one PKCS#12")
    scrypt_cost: int = _limit(2**17, "scrypt N times r times p of one derivation in a PKCS#12")
    scrypt_cost_of_file: int = _limit(2**20, "scrypt N times r times p of one PKCS#12, added up")
    rsa_bits_least: int = _limit(2048, "shortest RSA key")
    rsa_bits_most: int = _limit(4096, "longest RSA key")
    rsa_primality_rounds: int = _limit(0, "rounds of Miller-Rabin on each prime of an RSA key")
    allow_without_mac: bool = field(
        default=False, metadata={"help": "whether a PKCS#12 without an integrity check (MAC) is opened"}
    )
    opening_cpu_seconds: int = _limit(5, "processor time for opening one PKCS#12")
    opening_wall_seconds: int = _limit(6, "elapsed time for opening one PKCS#12")
    opening_memory_bytes: int = _limit(512 * 1024**2, "address space of the process that opens PKCS#12 files")
    import_cpu_seconds: int = _limit(60, "processor time for opening the files of one import")
    import_cpu_seconds_per_file: int = _limit(2, "processor time that each file of an import adds to that")
    waiting_imports: int = _limit(100, "unfinished imports of one user or client")
    waiting_bytes: int = _limit(2 * 1024**3, "sealed bytes in the unfinished imports of one user or client")
    waiting_bytes_of_all: int = _limit(8 * 1024**3, "sealed bytes in all unfinished imports")
    spool_bytes: int = _limit(2 * 1024**3, "bytes that uploads under way of one user or client may take")
    spool_bytes_of_all: int = _limit(8 * 1024**3, "bytes that all uploads under way may take")
    waiting_requests: int = _limit(64, "requests that may wait for their import at the same time")
    policies: int = _limit(200, "VPN policies")
