"""Why one entry of a bundle or one line of a list fails; the rest of the request goes on."""

from bulkcert.errors.root import Refusal


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


class NotPkcs12(ItemRefusal):
    """The entry is another kind of file, which `found` names."""

    code = "not_pkcs12"
    remedy = "Do what the detail says, or export certificate and private key together as PKCS#12."


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


class OverBudget(ItemRefusal):
    """Other files of the import used up the time that opening its files may take: this one was not opened."""

    code = "over_budget"
    remedy = (
        "Export the files again with fewer iterations, above all those that are `too_costly`, and import"
        " what is missing, or raise the limit (`import_cpu_seconds`, see /api/v1/limits)."
    )


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


class NotStorable(ItemRefusal):
    """The database does not take a value of the item: it is too long, or out of the range of its column."""

    code = "not_storable"
    remedy = "Have the certificate issued with shorter values, and report this with the import's id."


class DuplicateKey(ItemRefusal):
    """The same key pair stands under another device identity, in this bundle or in what is kept."""

    code = "duplicate_key"
    remedy = "Issue each device its own key, or delete the other device's certificate first."


class DeletedMeanwhile(ItemRefusal):
    """A deletion that was accepted after the import took this device out before its turn came."""

    code = "deleted_meanwhile"
    remedy = "Upload the device's file again if the deletion was not meant for it."


class Cancelled(ItemRefusal):
    """The import was cancelled before the turn of this device came."""

    code = "cancelled"
    remedy = "Upload the device's file again if it is wanted after all."


class Crashed(ItemRefusal):
    """The process that opened the file ended without an answer."""

    code = "crashed"
    remedy = "Export the file again; if it happens once more, report it with the import's id."


ITEM_REFUSALS: tuple[type[ItemRefusal], ...] = (
    WrongPassword,
    UnsupportedAlgorithm,
    MalformedPkcs12,
    NotPkcs12,
    MalformedCertificate,
    NoPrivateKey,
    NoCertificate,
    SeveralPrivateKeys,
    KeyMismatch,
    WeakKey,
    KeyTooLarge,
    TooCostly,
    OverBudget,
    TooLarge,
    Expired,
    NotYetValid,
    NoCredential,
    NoPkcs12,
    InvalidIdentity,
    DuplicateIdentity,
    InvalidPassword,
    NotStorable,
    DuplicateKey,
    DeletedMeanwhile,
    Cancelled,
    Crashed,
)
"""Every refusal of one item: what an opening process may answer, by code."""
