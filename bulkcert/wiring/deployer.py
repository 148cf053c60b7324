"""What a process of the built-in deployer is made of."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from bulkcert.config import Config
from bulkcert.deployments.mdm.assembly import MdmRules, make_carrier
from bulkcert.deployments.mdm.carrier import Carrier
from bulkcert.deployments.profile_release import ProfileRelease
from bulkcert.deployments.profiles.profile import ProfileMaker
from bulkcert.deployments.profiles.signing import ProfileSigner
from bulkcert.errors import BadSettings, reason_of
from bulkcert.store.clock import Clock, utc_now
from bulkcert.store.store import Store
from bulkcert.values.secret import Secret
from bulkcert.wiring.installation import open_installation


def make_profiles(config: Config, now: Clock) -> ProfileMaker:
    """Make what makes profiles; raises `BadSettings` where they cannot be signed as the settings say."""
    signer = None
    key_file, certificate_file = config.profile_key_file, config.profile_certificate_file
    if key_file is not None and certificate_file is not None:
        try:
            signer = ProfileSigner.from_pem(Secret(key_file.read_bytes()), certificate_file.read_bytes())
        except OSError as failure:
            raise BadSettings(
                f"The key or the certificate that signs profiles cannot be read: {failure.filename}:"
                f" {reason_of(failure)}."
            ) from None
    return ProfileMaker(now, secrets.token_bytes, signer, config.profile_namespace)


def mdm_rules(config: Config) -> MdmRules:
    """Return the rules by which MDM commands are sent."""
    wait = timedelta(seconds=config.mdm_wait_seconds)
    return MdmRules(wait, config.profile_namespace, config.mdm_allow_http, config.mdm_ca_file)


@dataclass(frozen=True)
class Deployer:
    """What a process of the built-in deployer does, over and over."""

    carrier: Carrier
    store: Store

    def close(self) -> None:
        """Close what is open."""
        self.carrier.close()
        self.store.close()


def make_deployer(config: Config, now: Clock | None = None) -> Deployer:
    """Make what carries deployments; `now` and errors as of `connect`, or `MdmNotConfigured`."""
    store, vault = open_installation(config, now)
    now = now or utc_now
    try:
        releases = ProfileRelease(store, vault, make_profiles(config, now), now)
        return Deployer(make_carrier(store, vault, releases, now, mdm_rules(config)), store)
    except BaseException:
        store.close()
        raise
