"""Kinds of file that people upload in place of the one that is wanted."""

import enum


class FileKind(enum.StrEnum):
    """A kind of file. The values stand in answers and reports as `found`, and never change once released."""

    EMPTY = "empty"
    PKCS12 = "pkcs12"
    PEM = "pem"
    BASE64 = "base64"
    CERTIFICATE = "certificate"
    PRIVATE_KEY = "private_key"
    JAVA_KEYSTORE = "java_keystore"
    PKCS7 = "pkcs7"
    HTML = "html"
    LFS_POINTER = "lfs_pointer"
    ZIP = "zip"
    ARCHIVE = "archive"
    TEXT = "text"
    OTHER = "other"
