"""Why a VPN policy is refused, and why a certificate does not fit one."""

from bulkcert.errors.requests import RequestRefusal
from bulkcert.errors.root import Refusal


class PolicyRefused(RequestRefusal):
    """The VPN policy holds values that Apple's systems do not take, or members that contradict each other."""

    code = "invalid_policy"
    remedy = "Correct each member that the errors name; every one of them stands there with its rule."


class NotFit(Refusal):
    """The certificate of a device does not fit the VPN policy; no profile is made of the two."""


class NotServed(NotFit):
    """The VPN policy does not serve the device of the certificate."""

    code = "not_served"
    remedy = "Use a policy of the device's identity type, which names its issuer and the device, or neither."


class UsageNotClientAuth(NotFit):
    """The certificate's extended key usage does not allow a client to authenticate with it."""

    code = "usage_not_client_auth"
    remedy = "Have the CA issue the certificate with the extended key usage clientAuth, and upload it again."


class KeyTypeNotAccepted(NotFit):
    """The certificate's key is of a kind that Apple's IKEv2 does not take."""

    code = "key_type_not_accepted"
    remedy = "Use a certificate with an RSA key, or an EC key on P-256, P-384 or P-521."


class FieldNotInCertificate(NotFit):
    """The local identifier of the policy names a field that the certificate does not have."""

    code = "field_not_in_certificate"
    remedy = "Have the CA write the field into the certificate, or change the policy's local_identifier."


class LocalIdentifierNotInCertificate(NotFit):
    """The local identifier is no name of the certificate, so the VPN server would refuse the device."""

    code = "local_identifier_not_in_certificate"
    remedy = "Have the CA write it as a subject alternative name, or change the policy's local_identifier."


class CertificateHasExpired(NotFit):
    """The certificate that would be put on the device is past its end date."""

    code = "certificate_has_expired"
    remedy = "Upload a new certificate for the device."


class CertificateNotYetValid(NotFit):
    """The certificate that would be put on the device begins in the future."""

    code = "certificate_not_yet_valid"
    remedy = "Wait until it begins, or check the CA's clock."


class LeaseLost(RequestRefusal):
    """The deployment is not, or not any more, in the hands of whoever reports of it."""

    code = "lease_lost"
    remedy = "Drop what was begun, and lease again: the deployment may have changed."


class NotReleased(RequestRefusal):
    """The deployment is reported as delivered or installed, and its profile never left the service."""

    code = "not_released"
    remedy = (
        "Get the profile (POST /api/v1/deployments/{id}/profile) and install that, or report what failed."
    )


class OtherCertificate(RequestRefusal):
    """What is reported of a deployment is not what is wanted on the device."""

    code = "other_certificate"
    remedy = "Read the deployment, and report what the device has; fail it where that is wrong."
