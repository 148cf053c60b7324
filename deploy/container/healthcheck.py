"""Exit with 0 where the API of this container is ready, else with 1 and the reason.

HEALTHCHECK_URL: the address to ask; the default is that of `bulkcert serve` with TLS, whose certificate
(BULKCERT_TLS_CERTIFICATE_FILE, or the one that `bulkcert init` made) must verify.
"""

import os
import ssl
import sys
import urllib.request

TIMEOUT_SECONDS = 4
DATA_DIR = os.environ.get("BULKCERT_DATA_DIR", "/var/lib/bulkcert")


def is_ready(url: str, ca_file: str) -> bool:
    """Return whether the service answers 200; raises OSError where it does not answer."""
    context = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else None
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS, context=context) as answer:
        return bool(answer.status == 200)


if __name__ == "__main__":
    try:
        sys.exit(
            not is_ready(
                os.environ.get("HEALTHCHECK_URL", "https://localhost:4443/health/ready"),
                os.environ.get("BULKCERT_TLS_CERTIFICATE_FILE", f"{DATA_DIR}/tls/certificate.pem"),
            )
        )
    except OSError as failure:
        sys.exit(f"not ready: {failure}")
