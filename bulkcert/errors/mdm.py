"""What goes wrong between this service, an MDM server and devices."""

from bulkcert.errors.requests import AlreadyExists, MalformedRequest, Unauthenticated
from bulkcert.errors.root import Refusal
from bulkcert.errors.service import StartRefusal


class WrongSignature(Unauthenticated):
    """The webhook's X-Hmac-Signature is missing, or is not that of its bytes under the webhook key."""

    code = "wrong_signature"
    remedy = "Start NanoMDM with -webhook-hmac-key and the key that `bulkcert mdm set` was given."


class StaleEvent(MalformedRequest):
    """The webhook tells of something that is more than an hour old, or lies in the future."""

    code = "stale_event"
    remedy = "Compare the clocks of both machines. Nothing is lost: devices are asked again."


class RepeatedEvent(AlreadyExists):
    """The webhook tells of an event that was taken already; nothing is done a second time."""

    code = "repeated_event"
    remedy = "Nothing needs to be done. Should it happen often, look for whoever sends webhooks twice."


class NoContest(Refusal):
    """There is nothing to decide: the identity is not known, or the device never claimed it."""

    code = "no_contest"
    remedy = "Read which devices claim the identity, and name one of those."


class MdmNotConfigured(StartRefusal):
    """There is no MDM server to deploy through."""

    code = "mdm_not_configured"
    remedy = "Run `bulkcert mdm set --url URL`."


class BadMdmAddress(Refusal):
    """The address is not one that an MDM server is talked to at."""

    code = "bad_mdm_address"
    remedy = "Give https://HOST[:PORT][/PATH], without a user or a password in it."


class MdmFault(Refusal):
    """The MDM server did not take a command as it should."""


class MdmUnreachable(MdmFault):
    """The MDM server cannot be reached, or what answers at its address is something else."""

    code = "mdm_unreachable"
    remedy = "Check the address in `bulkcert mdm show`, the network, and the server's TLS certificate."


class MdmUnauthorised(MdmFault):
    """The MDM server does not accept the API key."""

    code = "mdm_unauthorised"
    remedy = "Run `bulkcert mdm set` with the key that NanoMDM was started with (-api)."


class MdmUncertain(MdmFault):
    """The MDM server was given a command and did not say whether it took it; the same one is sent again."""

    code = "mdm_uncertain"
    remedy = "Look at the MDM server's log. Nothing is lost: a command is never carried out twice."


class MdmForged(MdmFault):
    """The address of the MDM server, or the device of an identity, was altered in the database by hand."""

    code = "mdm_forged"
    remedy = (
        "Run `bulkcert check`, which names the rows. Set the MDM server again with `bulkcert mdm set`, or"
        " confirm the device with `bulkcert mdm confirm`. Treat it as tampering until it is explained."
    )


class MdmRefused(MdmFault):
    """The MDM server refused a command."""

    code = "mdm_refused"
    remedy = "Read the detail, which holds the server's words, and look at its log."
