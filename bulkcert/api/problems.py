"""From refusals to HTTP: one table of statuses, and one renderer for each API.

`/api/v1` answers with problem documents (RFC 9457). Other paths register a renderer for their prefix. An
exception outside the table is a fault of this service: the answer holds a reference and the log the place in
the code. Neither holds the exception's text, which may quote an upload.
"""

import errno
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from bulkcert import errors
from bulkcert.api import authorization, context
from bulkcert.api.parsing import MOST_FAULTS
from bulkcert.errors import Refusal
from bulkcert.logs import describe_fault

STATUS: dict[type[Refusal], int] = {
    errors.MalformedRequest: 400,
    errors.NotSupported: 400,
    errors.StaleEvent: 400,
    errors.InvalidScope: 400,
    errors.WrongCredentials: 401,
    errors.Unauthenticated: 401,
    errors.WrongSignature: 401,
    errors.InsufficientScope: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.NotAcceptable: 406,
    errors.BodyTooSlow: 408,
    errors.AlreadyExists: 409,
    errors.AlreadyFinished: 409,
    errors.RepeatedEvent: 409,
    errors.LastOwner: 409,
    errors.LimitReached: 409,
    errors.LeaseLost: 409,
    errors.NotReleased: 409,
    errors.OtherCertificate: 409,
    errors.ReportPruned: 410,
    errors.BundleTooLarge: 413,
    errors.TooManyEntries: 413,
    errors.CredentialsFileTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.UnsupportedContentCoding: 415,
    errors.NotAZip: 422,
    errors.MalformedZip: 422,
    errors.UnsupportedZip: 422,
    errors.EncryptedZip: 422,
    errors.EmptyBundle: 422,
    errors.NoCredentialsFile: 422,
    errors.AmbiguousCredentialsFile: 422,
    errors.UndecodableCredentialsFile: 422,
    errors.UnknownIdentityType: 422,
    errors.EmptyList: 422,
    errors.WeakPassword: 422,
    errors.CommonPassword: 422,
    errors.IdempotencyKeyReused: 422,
    errors.PolicyRefused: 422,
    errors.NotFit: 422,  # and its subclasses: why a policy has no profile for a certificate
    errors.ItemRefusal: 422,  # and its subclasses, in requests about a single item
    errors.TooManyRequests: 429,
    errors.SpoolFull: 429,
    errors.TooManyChecks: 429,
    errors.HeadTooLarge: 431,
    errors.InternalFault: 500,
    errors.StillRunning: 503,
    errors.Unavailable: 503,
    errors.Contended: 503,
    errors.StorageFull: 507,
}

_RETRY_SECONDS = 5
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

Renderer = Callable[[Refusal, int], Response]


def status_of(refusal: Refusal) -> int:
    """Return the HTTP status of a refusal; 500 for one that must not reach HTTP."""
    return next((STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS), 500)


def install(app: Flask, renderers: Mapping[str, Renderer]) -> None:
    """Answer every exception. renderers: by the prefix of the path; other paths get problem documents."""

    def answer(error: Exception) -> Response:
        refusal = refusal_for(error)
        render = next(
            (each for prefix, each in renderers.items() if request.path.startswith(prefix)), render_problem
        )
        response = render(refusal, status_of(refusal))
        for name, value in _headers(refusal, error):
            response.headers.setdefault(name, value)  # a renderer may have set its own challenge
        return response

    app.register_error_handler(Exception, answer)


def render_problem(refusal: Refusal, status: int) -> Response:
    """Return a problem document (RFC 9457); `remedy`, `errors`, `found` and `import_id` are extensions."""
    document: dict[str, Any] = {
        "type": f"/problems#{refusal.code}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": status,
        "detail": refusal.detail,
        "code": refusal.code,
        "remedy": refusal.remedy,
        "instance": f"urn:uuid:{context.request_id()}",
    }
    if refusal.faults:
        faults = refusal.faults[:MOST_FAULTS]
        document["errors"] = [{"where": fault.where, "detail": fault.detail} for fault in faults]
    if refusal.found is not None:
        document["found"] = refusal.found
    if isinstance(refusal, errors.StillRunning):
        document["import_id"] = refusal.request_id
    response = jsonify(document)
    response.status_code = status
    response.content_type = "application/problem+json"
    return response


def refusal_for(error: Exception) -> Refusal:
    """Return the refusal that answers an exception; an unknown exception is logged as a fault."""
    match error:
        case Refusal() if status_of(error) < 500 or type(error) in STATUS:
            return error
        case HTTPException() if error.code is not None and error.code < 500:
            return _from_http(error.code)
        case OSError(errno=number) if number in _DISK_FULL:
            return errors.StorageFull("The disk is full; nothing was kept.")
        case OSError(errno=number) if number in _OUT_OF_RESOURCES:
            _log(error)
            return errors.Unavailable("The service is out of files or memory for the moment.")
    _log(error)
    return errors.InternalFault(f"Something went wrong here. Reference: {context.request_id()}.")


def _from_http(status: int) -> Refusal:
    """Return the refusal for an exception of Werkzeug, whose own text may quote the request."""
    match status:
        case 404:
            return errors.NotFound("There is nothing at this path.")
        case 405:
            return errors.MethodNotAllowed("This path does not answer to this method.")
        case 406:
            return errors.NotAcceptable("None of the formats asked for is offered.")
        case 413:
            return errors.BundleTooLarge("The request, or a field of it, is larger than the limit.")
        case 415:
            return errors.UnsupportedMediaType("This path does not read this Content-Type.")
    return errors.MalformedRequest("The request cannot be read, or ended too early.")


def _headers(refusal: Refusal, error: Exception) -> Iterator[tuple[str, str]]:
    if status_of(refusal) in {401, 403} and (challenge := authorization.challenge(refusal)):
        yield "WWW-Authenticate", challenge
    if isinstance(refusal, errors.UnsupportedContentCoding):
        yield "Accept-Encoding", "identity"  # RFC 9110 §15.5.16
    if isinstance(error, MethodNotAllowed):
        yield "Allow", ", ".join(sorted(error.valid_methods or ()))  # RFC 9110 §15.5.6
    if isinstance(refusal, errors.TooManyRequests):
        yield "Retry-After", str(refusal.retry_after)
    if isinstance(refusal, errors.StillRunning | errors.Unavailable):
        yield "Retry-After", str(_RETRY_SECONDS)


def _log(error: BaseException) -> None:
    """Log the kind and place of a fault, without any value."""
    structlog.get_logger().error("internal_fault", reference=context.request_id(), **describe_fault(error))
