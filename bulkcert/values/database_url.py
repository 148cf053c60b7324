"""The form of a database's address, as the setting BULKCERT_DATABASE_URL takes it."""

import re

POSTGRES = re.compile(
    r"postgresql(?:\+psycopg)?://"
    r"(?P<login>[A-Za-z0-9._~%!$&'()*+,;=-]*(?::[A-Za-z0-9._~%!$&'()*+,;=-]*)?@)?"
    r"(?P<server>(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])?(?::[0-9]{1,5})?)"
    r"/(?P<database>[A-Za-z0-9._~%-]+)"
    r"(?:\?(?P<options>[A-Za-z0-9._~%/:,=&@*+-]+))?"
)
"""Another form is refused before a library reads it, because errors of libraries may quote the password."""

_LIBPQ_OPTIONS = frozenset(
    {
        *("host", "port", "passfile", "target_session_attrs", "load_balance_hosts"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir", "sslsni", "sslnegotiation"),
        *("ssl_min_protocol_version", "channel_binding", "require_auth", "requirepeer"),
        *("gssencmode", "krbsrvname"),
    }
)


def read(text: str) -> str:
    """Return SQLite's or PostgreSQL's URL in the form that SQLAlchemy takes, or raise `ValueError`.

    No error quotes it, because it may hold a password.
    """
    if text.startswith("sqlite:///"):
        return text
    if not text.startswith(("postgresql://", "postgresql+psycopg://")):
        raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
    if (match := POSTGRES.fullmatch(text)) is None:
        raise ValueError(
            "must be postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE, where what is none of"
            " A-Z a-z 0-9 . _ - is written as %XX in user and password"
        )
    options = {word.partition("=")[0] for word in (match["options"] or "").split("&") if word}
    if options - _LIBPQ_OPTIONS:
        raise ValueError(f"takes after the ? only {', '.join(sorted(_LIBPQ_OPTIONS))}")
    return "postgresql+psycopg://" + text.partition("://")[2]
