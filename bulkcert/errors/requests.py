"""Why a whole request is refused; nothing of it is kept."""

from bulkcert.errors.root import Refusal


class RequestRefusal(Refusal):
    """The request as a whole is refused; nothing of it is kept."""


class MalformedRequest(RequestRefusal):
    """A part of the request is missing, unknown, or not of the form that the contract says."""

    code = "malformed_request"
    remedy = "Compare the request with openapi.yaml."


class HeadTooLarge(RequestRefusal):
    """A header field, the path or the query is longer than 8 KiB, or all of them together than 32 KiB."""

    code = "head_too_large"
    remedy = "Send shorter header fields, and fewer of them; take out cookies, which nothing here reads."


class BodyTooSlow(RequestRefusal):
    """The body was not there within its seconds, or did not keep coming at the least rate."""

    code = "body_too_slow"
    remedy = "Send it again over a faster connection (limits of time: docs/operations.md)."


class NotSupported(RequestRefusal):
    """The request asks for a feature that this release does not have."""

    code = "not_supported"
    remedy = "Leave the feature out. It is refused rather than ignored, so that nothing else happens."


class UnsupportedMediaType(RequestRefusal):
    """The Content-Type is not one that this path reads."""

    code = "unsupported_media_type"
    remedy = "Send multipart/form-data, application/zip or application/json, as the path says."


class UnsupportedContentCoding(UnsupportedMediaType):
    """The body has a Content-Encoding, or a Transfer-Encoding beside chunked, which no path reads."""

    remedy = "Send the body as it is, without Content-Encoding."


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
    """Login and password (or client id and secret) do not belong together, or whose they are is disabled."""

    code = "wrong_credentials"
    remedy = "Check login and password, or client id and secret."


class Unauthenticated(RequestRefusal):
    """There is no token, or it is not valid (any more)."""

    code = "unauthenticated"
    remedy = "Log in (POST /api/v1/sessions) and send the token."


class InsufficientScope(RequestRefusal):
    """The token is valid but does not carry the scope that this path needs."""

    code = "insufficient_scope"
    remedy = "Use a user whose role, or a client whose scopes, allow it."


class InvalidScope(RequestRefusal):
    """A client asks for a scope that it was not given, or for one that does not exist."""

    code = "invalid_scope"
    remedy = "Ask for scopes that the client has (bulkcert client list), or for none to get all of them."


class WeakPassword(RequestRefusal):
    """The password is too short, or of too few different characters, to protect a key or a login."""

    code = "weak_password"
    remedy = "Use a longer password, or leave it out and have one generated."


class CommonPassword(RequestRefusal):
    """The password is one of the most common ones, whatever its case, repetitions, and digits around it."""

    code = "common_password"
    remedy = "Use a password that nobody else thinks of, or leave it out and have one generated."


class AlreadyExists(RequestRefusal):
    """There is one of this name already: a user of this login, or a VPN policy."""

    code = "already_exists"
    remedy = "Choose another name."


class LimitReached(RequestRefusal):
    """There are as many VPN policies, users or clients already as there may be."""

    code = "limit_reached"
    remedy = "Delete a policy that nothing needs, or use an account that exists (docs/operations.md, Limits)."


class LastOwner(RequestRefusal):
    """The last user with the role owner would be disabled or lose the role; nobody could administer then."""

    code = "last_owner"
    remedy = "Make another owner first."


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
    remedy = "Ask for a media type that openapi.yaml names for the path."


class TooManyRequests(RequestRefusal):
    """Too many failed logins, or too much work waiting already."""

    code = "too_many_requests"
    remedy = "Wait as long as Retry-After says."

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooManyChecks(TooManyRequests):
    """Too many bundles or lists are being checked at this moment, of this account or in all."""

    code = "too_many_checks"


class SpoolFull(TooManyRequests):
    """Uploads under way take all the room that is set apart for them, of this account or in all."""

    code = "spool_full"


class IdempotencyKeyReused(RequestRefusal):
    """The same Idempotency-Key came with another request within 24 hours."""

    code = "idempotency_key_reused"
    remedy = "Send a new key with a new request, and the same key only to repeat the same request."


class AlreadyFinished(RequestRefusal):
    """What was to be cancelled has ended already."""

    code = "already_finished"
    remedy = "Read its report. What it kept can be deleted."


class ReportPruned(RequestRefusal):
    """The items of the import or deletion are not kept any more; its counts are."""

    code = "report_pruned"
    remedy = "Read the counts at /api/v1/imports/{id}; BULKCERT_REPORT_DAYS says how long items are kept."


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
    remedy = "Try again in a moment. If it lasts, see whether the database runs (the log says more)."


class Contended(Unavailable):
    """Two writers met at the same rows; the one that is told so may try again at once."""


class StorageFull(RequestRefusal):
    """The disk is full; nothing was kept."""

    code = "storage_full"
    remedy = "Free space on the data volume."


class InternalFault(RequestRefusal):
    """A fault of the service itself. The detail holds a reference, nothing else."""

    code = "internal_fault"
    remedy = "Look up the reference in the log, and report it."
