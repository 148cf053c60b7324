"""Every way the service says no: one class for each reason, each with a stable code.

Rules:
- A refusal knows nothing of HTTP, logs or Flask; `api/problems.py` holds the one table to statuses.
- Its text never holds a password, a key, uploaded bytes or a path of the machine.
- `code` never changes once released. `remedy` says what the reader can do about it. Both stand in
  `docs/problems.md`, and a test holds that page complete.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Fault:
    """One of several things wrong with a request: `where` it stands, and `detail` of what is wrong."""

    where: str
    detail: str


class Refusal(Exception):  # noqa: N818 - the field says "refused", not "errored"
    """Root of the family. `detail` is one plain sentence; `faults` lists parts where there are several."""

    code: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, detail: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults


# --- one entry of a bundle or one line of a list; the rest of the request goes on -------------------


class ItemRefusal(Refusal):
    """One item fails and is named in the report; the others are not touched by it."""


class WrongPassword(ItemRefusal):
    """The password of the credentials file does not open the PKCS#12."""

    code = "wrong_password"
    remedy = "Correct the line in the credentials file; spaces at its end count."


class UnsupportedAlgorithm(ItemRefusal):
    """The PKCS#12 or its key uses an algorithm that is not read."""

    code = "unsupported_algorithm"
    remedy = "Export the file again with AES-256 or 3DES, and use an RSA, EC P-256/384/521 or Ed25519 key."


class MalformedPkcs12(ItemRefusal):
    """The entry is not a readable PKCS#12."""

    code = "malformed_pkcs12"
    remedy = "Export the file again, and make sure that the zip holds it whole."


class MalformedCertificate(ItemRefusal):
    """A certificate inside the PKCS#12 breaks the rules of RFC 5280 so far that it cannot be read."""

    code = "malformed_certificate"
    remedy = "Have the CA issue the certificate again in standard form."


class NoPrivateKey(ItemRefusal):
    """The PKCS#12 holds no private key."""

    code = "no_private_key"
    remedy = "Export the file again with its private key."


class NoCertificate(ItemRefusal):
    """The PKCS#12 holds no certificate."""

    code = "no_certificate"
    remedy = "Export the file again with its certificate."


class SeveralPrivateKeys(ItemRefusal):
    """The PKCS#12 holds more than one private key, so it is not clear which is the device's."""

    code = "several_private_keys"
    remedy = "Export the device's key and certificate alone."


class KeyMismatch(ItemRefusal):
    """No certificate in the PKCS#12 belongs to its private key."""

    code = "key_mismatch"
    remedy = "Export the certificate together with the key that it was issued for."


class WeakKey(ItemRefusal):
    """The key is too short to be safe (RSA below 2,048 bits)."""

    code = "weak_key"
    remedy = "Issue the certificate again with RSA of 2,048 bits or more, or EC P-256."


class KeyTooLarge(ItemRefusal):
    """The key is larger than the limit; checking it would cost too much."""

    code = "key_too_large"
    remedy = "Issue the certificate again with RSA of at most 4,096 bits, or raise the limit."


class TooCostly(ItemRefusal):
    """Opening the file would take more key derivation work than the limit allows."""

    code = "too_costly"
    remedy = "Export the file again with fewer iterations, or raise the limit (see /api/v1/limits)."


class TooLarge(ItemRefusal):
    """The entry is larger than the limit for one PKCS#12."""

    code = "too_large"
    remedy = "Export the device's key and certificate alone, or raise the limit (see /api/v1/limits)."


class Expired(ItemRefusal):
    """The certificate is past its end date."""

    code = "expired"
    remedy = "Upload a certificate that is still valid."


class NotYetValid(ItemRefusal):
    """The certificate begins more than 24 hours from now."""

    code = "not_yet_valid"
    remedy = "Upload it when it is valid, or check the CA's clock."


class NoCredential(ItemRefusal):
    """The credentials file has no line for this PKCS#12."""

    code = "no_credential"
    remedy = "Add a line `<identity>.p12=<password>` to the credentials file."


class NoPkcs12(ItemRefusal):
    """The credentials file has a line for which the zip holds no PKCS#12."""

    code = "no_pkcs12"
    remedy = "Add `<identity>.p12` to the zip, or take the line out."


class InvalidIdentity(ItemRefusal):
    """The name is not a device identity of the given type."""

    code = "invalid_identity"
    remedy = "Name the file after the device: `<serial number, IMEI or MEID>.p12`, and check identity_type."


class DuplicateIdentity(ItemRefusal):
    """The same device identity stands more than once in one request."""

    code = "duplicate_identity"
    remedy = "Keep one file and one line for each device."


class InvalidPassword(ItemRefusal):
    """The line of the credentials file cannot hold a password."""

    code = "invalid_password"
    remedy = "Write the line as `<identity>.p12=<password>`, without a NUL character."


class DuplicateKey(ItemRefusal):
    """The same key pair stands under another device identity, in this bundle or in what is kept."""

    code = "duplicate_key"
    remedy = "Issue each device its own key, or delete the other device's certificate first."


class DeletedMeanwhile(ItemRefusal):
    """A deletion that was accepted after the import took this device out before its turn came."""

    code = "deleted_meanwhile"
    remedy = "Upload the device's file again if the deletion was not meant for it."


class Crashed(ItemRefusal):
    """The process that opened the file ended without an answer."""

    code = "crashed"
    remedy = "Export the file again; if it happens once more, report it with the import's id."


# --- the whole request ------------------------------------------------------------------------------


class RequestRefusal(Refusal):
    """The request as a whole is refused; nothing of it is kept."""


class MalformedRequest(RequestRefusal):
    """A part of the request is missing, unknown, or not of the form that the contract says."""

    code = "malformed_request"
    remedy = "Compare the request with openapi.yaml."


class NotSupported(RequestRefusal):
    """The request asks for a feature that this release does not have."""

    code = "not_supported"
    remedy = "Leave the feature out. It is refused rather than ignored, so that nothing else happens."


class UnsupportedMediaType(RequestRefusal):
    """The Content-Type is not one that this path reads."""

    code = "unsupported_media_type"
    remedy = "Send multipart/form-data, application/zip or application/json, as the path says."


class NotAZip(RequestRefusal):
    """What was uploaded as a bundle is something else."""

    code = "not_a_zip"
    remedy = "Zip the `.p12` files and the credentials file, and upload that zip."


class MalformedZip(RequestRefusal):
    """The zip's directory contradicts itself or the file."""

    code = "malformed_zip"
    remedy = "Make the zip again with an ordinary tool (zip, Finder, Explorer, 7-Zip)."


class UnsupportedZip(RequestRefusal):
    """The zip uses a method other than stored or deflate, or is split over several disks."""

    code = "unsupported_zip"
    remedy = "Make the zip again with the deflate method, in one part."


class EncryptedZip(RequestRefusal):
    """An entry of the zip is encrypted by the zip itself."""

    code = "encrypted_zip"
    remedy = "Make the zip without a password; the PKCS#12 files have their own."


class EmptyBundle(RequestRefusal):
    """The zip holds no PKCS#12 at all."""

    code = "empty_bundle"
    remedy = "Put `<identity>.p12` files at the top of the zip or in one folder."


class BundleTooLarge(RequestRefusal):
    """The upload, or what it unpacks to, is over a limit."""

    code = "bundle_too_large"
    remedy = "Split the bundle (limits: /api/v1/limits)."


class TooManyEntries(RequestRefusal):
    """The bundle or list has more entries than the limit."""

    code = "too_many_entries"
    remedy = "Split the bundle (limits: /api/v1/limits)."


class NoCredentialsFile(RequestRefusal):
    """The zip does not hold the credentials file."""

    code = "no_credentials_file"
    remedy = "Add the credentials file to the zip, and name it in the request if it is not the only .txt."


class AmbiguousCredentialsFile(RequestRefusal):
    """More than one entry of the zip could be the credentials file."""

    code = "ambiguous_credentials_file"
    remedy = "Name the credentials file in the request, and keep one of that name in the zip."


class UndecodableCredentialsFile(RequestRefusal):
    """The credentials file, or a deletion list, is not text."""

    code = "undecodable_credentials_file"
    remedy = "Save the file as UTF-8 (UTF-16 with a byte order mark is read too)."


class CredentialsFileTooLarge(RequestRefusal):
    """The credentials file or the deletion list is over its limit."""

    code = "credentials_file_too_large"
    remedy = "Split the bundle (limits: /api/v1/limits)."


class UnknownIdentityType(RequestRefusal):
    """The identity type is none of SERIAL_NUMBER, IMEI, MEID."""

    code = "unknown_identity_type"
    remedy = "Use SERIAL_NUMBER, IMEI or MEID."


class EmptyList(RequestRefusal):
    """A deletion names no device identity."""

    code = "empty_list"
    remedy = "Send one device identity per line."


class WrongCredentials(RequestRefusal):
    """Login and password do not belong together, or the user is disabled."""

    code = "wrong_credentials"
    remedy = "Check login and password."


class Unauthenticated(RequestRefusal):
    """There is no token, or it is not valid (any more)."""

    code = "unauthenticated"
    remedy = "Log in (POST /api/v1/sessions) and send the token."


class InsufficientScope(RequestRefusal):
    """The token is valid but does not carry the scope that this path needs."""

    code = "insufficient_scope"
    remedy = "Use a user whose role has the scope."


class NotFound(RequestRefusal):
    """There is nothing here for this caller."""

    code = "not_found"
    remedy = "Check the path and the id."


class MethodNotAllowed(RequestRefusal):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    remedy = "Use a method that the Allow header names."


class NotAcceptable(RequestRefusal):
    """No representation that the Accept header names is offered."""

    code = "not_acceptable"
    remedy = "Ask for application/json."


class TooManyRequests(RequestRefusal):
    """Too many failed logins, or too much work waiting already."""

    code = "too_many_requests"
    remedy = "Wait as long as Retry-After says."

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class StillRunning(RequestRefusal):
    """The work was accepted and goes on, but did not end within the longest wait."""

    code = "still_running"
    remedy = "Send the same bundle again to join it, or poll /api/v1/imports/{id}."

    def __init__(self, detail: str, request_id: str) -> None:
        super().__init__(detail)
        self.request_id = request_id


class Unavailable(RequestRefusal):
    """The database does not answer in time; nothing was kept."""

    code = "unavailable"
    remedy = "Try again in a moment; if it lasts, look at /health/ready and the log."


class StorageFull(RequestRefusal):
    """The disk is full; nothing was kept."""

    code = "storage_full"
    remedy = "Free space on the data volume."


class InternalFault(RequestRefusal):
    """A fault of the service itself. The detail holds a reference, nothing else."""

    code = "internal_fault"
    remedy = "Look up the reference in the log, and report it."


# --- the service itself -----------------------------------------------------------------------------


class StartRefusal(Refusal):
    """The service does not start, or a command does not run, and nothing was written."""


class BadSettings(StartRefusal):
    """Settings are unknown or have bad values; `faults` holds one line for each."""

    code = "bad_settings"
    remedy = "Correct the BULKCERT_* variables; docs/operations.md lists them."


class NotInitialised(StartRefusal):
    """There is no database or no master key here yet."""

    code = "not_initialised"
    remedy = "Run `bulkcert init`."


class WrongMasterKey(StartRefusal):
    """The master key is not the one that this database was sealed with."""

    code = "wrong_master_key"
    remedy = "Point BULKCERT_MASTER_KEY_FILE to the right file."


class SchemaOutdated(StartRefusal):
    """The database was made by another release."""

    code = "schema_outdated"
    remedy = "Run `bulkcert db upgrade`."


class BrokenSeal(Refusal):
    """Something sealed was altered, moved to another row, or sealed under a key that is not here."""

    code = "broken_seal"
    remedy = "Restore the row from a backup; treat it as tampering until it is explained."
