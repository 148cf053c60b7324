"""The payloads of a profile, in Apple's words (device-management, mdm/profiles).

Where Apple's schema says integer, an integer is written, never a boolean: a plist tells them apart.
"""

import enum
import uuid
from collections.abc import Mapping

from bulkcert.deployments.profiles.fit import Fit
from bulkcert.values.certificates import Certificate
from bulkcert.values.policies import (
    CaptivePortal,
    Dns,
    OnDemand,
    OnDemandRule,
    Routing,
    SecurityAssociation,
    ServiceExceptions,
    Tunnel,
    VpnPolicy,
)
from bulkcert.values.policies.on_demand import Evaluation
from bulkcert.values.secret import Secret

Dictionary = dict[str, object]

_SERVICES = {
    "voice_mail": "VoiceMail",
    "air_print": "AirPrint",
    "cellular_services": "CellularServices",
    "device_communication": "DeviceCommunication",
}
_LONGEST_SHOWN = 64


def derive_uuid(*names: str) -> str:
    """Return the same UUID (RFC 9562 §5.5) for the same names, upper case as Apple writes them."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(("bulkcert", *names)))).upper()


def make_payload(
    kind: str, identifier: str, payload_uuid: str, shown: str, content: Dictionary
) -> Dictionary:
    """Make a payload with what each one has (CommonPayloadKeys)."""
    return {
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": payload_uuid,
        "PayloadDisplayName": shown,
        **content,
    }


def make_identity(
    identifier: str, payload_uuid: str, shown: str, pkcs12: Secret, password: Secret
) -> Dictionary:
    """Make the payload of the device's key and certificate."""
    content: Dictionary = {"PayloadContent": pkcs12.reveal(), "Password": password.reveal().decode()}
    return make_payload("com.apple.security.pkcs12", identifier, payload_uuid, shown, content)


def make_certificate(identifier: str, certificate: Certificate) -> Dictionary:
    """Make the payload of a CA's certificate: a root where it is issued by itself, else one between.

    identifier: of the profile; the certificate's fingerprint makes the payload's own.
    """
    facts = certificate.facts
    kind = "root" if facts.subject == facts.issuer else "pkcs1"
    own = f"{identifier}.certificate.{facts.fingerprint_sha256[:16]}"
    shown = facts.subject.common_name or facts.subject.organization or "Certificate"
    content: Dictionary = {"PayloadContent": certificate.der}
    return make_payload(
        f"com.apple.security.{kind}", own, derive_uuid(own, facts.fingerprint_sha256), _shown(shown), content
    )


def make_vpn(
    identifier: str, payload_uuid: str, policy: VpnPolicy, fit: Fit, identity_uuid: str
) -> Dictionary:  # fmt: skip
    """Make the VPN payload (com.apple.vpn.managed); identity_uuid: of the payload that proves the device."""
    keys = {"CertificateType": fit.certificate_type, "PayloadCertificateUUID": identity_uuid}
    tunnels = [
        _tunnel(tunnel) | keys | {"LocalIdentifier": local_identifier}
        for tunnel, local_identifier in zip(policy.tunnels, fit.local_identifiers, strict=True)
    ]
    content: Dictionary = {"UserDefinedName": policy.name}
    if policy.connection_type.is_always_on:
        content |= {"VPNType": "AlwaysOn", "AlwaysOn": _always_on(policy, tunnels)}
    else:
        content |= {"VPNType": "IKEv2", "IKEv2": tunnels[0] | _on_demand_of(policy)}
    if policy.dns:
        content["DNS"] = _dns(policy.dns)
    return make_payload("com.apple.vpn.managed", identifier, payload_uuid, policy.name, content)


def _tunnel(tunnel: Tunnel) -> Dictionary:
    """Make the keys of one IKEv2 tunnel that are the same for every device."""
    ike = tunnel.ike_security_association
    return {
        "AuthenticationMethod": "Certificate",
        "ChildSecurityAssociationParameters": _association(tunnel.child_security_association or ike),
        "DeadPeerDetectionRate": str(tunnel.dead_peer_detection),
        "DisableMOBIKE": int(not tunnel.mobike),
        "DisableRedirect": int(not tunnel.redirect),
        "EnableCertificateRevocationCheck": int(tunnel.certificate_revocation_check),
        "EnableFallback": int(tunnel.fallback),
        "EnablePFS": int(tunnel.perfect_forward_secrecy),
        "ExtendedAuthEnabled": 0,
        "IKESecurityAssociationParameters": _association(ike),
        "NATKeepAliveOffloadEnable": int(tunnel.nat_keepalive_offload),
        "RemoteAddress": tunnel.remote_address,
        "RemoteIdentifier": tunnel.remote_identifier,
        "UseConfigurationAttributeInternalIPSubnet": int(tunnel.use_internal_subnets),
        **_given(
            MTU=tunnel.mtu,
            NATKeepAliveInterval=tunnel.nat_keepalive_interval_seconds,
            ServerCertificateCommonName=tunnel.server_certificate_common_name,
            ServerCertificateIssuerCommonName=tunnel.server_certificate_issuer,
        ),
    }


def _association(association: SecurityAssociation) -> Dictionary:
    # With GCM and Poly1305 the integrity algorithm is written too: it names the pseudo-random function.
    return {
        "DiffieHellmanGroup": association.diffie_hellman_group,
        "EncryptionAlgorithm": str(association.encryption_algorithm),
        "IntegrityAlgorithm": str(association.integrity_algorithm),
        "LifeTimeInMinutes": association.lifetime_minutes,
    }


def _always_on(policy: VpnPolicy, tunnels: list[Dictionary]) -> Dictionary:
    """Make the dictionary of Always On; the IKEv2 keys stand flat in each tunnel, beside its interfaces.

    Apple's YAML lists neither that nor a nested form; its manifests of profiles list them flat.
    """
    every = ["Cellular", "WiFi"]
    interfaces = [[str(tunnel.interface)] if tunnel.interface else every for tunnel in policy.tunnels]
    return {
        "TunnelConfigurations": [
            {"ProtocolType": "IKEv2", "Interfaces": names, **keys}
            for names, keys in zip(interfaces, tunnels, strict=True)
        ],
        "UIToggleEnabled": int(policy.ui_toggle),
        **_given(
            ServiceExceptions=_service_exceptions(policy.service_exceptions),
            ApplicationExceptions=[
                {
                    "BundleIdentifier": each.bundle_identifier,
                    **_lists(LimitToProtocols=each.limit_to_protocols),
                }
                for each in policy.application_exceptions
            ],
        ),
        **_captive_portal(policy.captive_portal),
    }


def _service_exceptions(exceptions: ServiceExceptions) -> list[Dictionary]:
    return [
        {"ServiceName": service, "Action": str(action)}
        for name, service in _SERVICES.items()
        if (action := getattr(exceptions, name))
    ]


def _captive_portal(portal: CaptivePortal) -> Dictionary:
    return {
        "AllowCaptiveWebSheet": int(portal.allow_web_sheet),
        "AllowAllCaptiveNetworkPlugins": int(portal.allow_all_plugins),
        **_given(
            AllowedCaptiveNetworkPlugins=[{"BundleIdentifier": name} for name in portal.allowed_plugins]
        ),
    }


def _dns(dns: Dns) -> Dictionary:
    searched = {"SupplementalMatchDomainsNoSearch": int(not dns.match_domains_are_searched)}
    return {
        "DNSProtocol": str(dns.protocol),
        "ServerAddresses": list(dns.servers),
        **_given(ServerURL=dns.server_url, ServerName=dns.server_name, DomainName=dns.domain),
        **_lists(SearchDomains=dns.search_domains, SupplementalMatchDomains=dns.match_domains),
        **(searched if dns.match_domains else {}),
    }


def _on_demand_of(policy: VpnPolicy) -> Dictionary:
    """Make the keys that a plain IKEv2 tunnel has besides those of every tunnel."""
    keys: Dictionary = {}
    if policy.disconnect_on_idle_seconds is not None:
        keys |= {"DisconnectOnIdle": 1, "DisconnectOnIdleTimer": policy.disconnect_on_idle_seconds}
    if policy.routing:
        keys |= _routing(policy.routing)
    return keys | (_on_demand(policy.on_demand) if policy.on_demand else {})


def _routing(routing: Routing) -> Dictionary:
    return {
        "IncludeAllNetworks": int(routing.include_all_networks),
        "EnforceRoutes": int(routing.enforce_routes),
        "ExcludeLocalNetworks": int(routing.exclude_local_networks),
        "ExcludeCellularServices": int(routing.exclude_cellular_services),
        "ExcludeAPNs": int(routing.exclude_apns),
        "ExcludeDeviceCommunication": int(routing.exclude_device_communication),
    }


def _on_demand(on_demand: OnDemand) -> Dictionary:
    return {
        "OnDemandEnabled": 1,
        "OnDemandUserOverrideDisabled": int(on_demand.user_override_disabled),
        "OnDemandRules": [_rule(rule) for rule in on_demand.rules],
    }


def _rule(rule: OnDemandRule) -> Dictionary:
    return {
        "Action": str(rule.action),
        **_given(
            InterfaceTypeMatch=rule.interface_type,
            URLStringProbe=rule.url_probe,
            ActionParameters=[_evaluation(each) for each in rule.evaluations],
        ),
        **_lists(
            SSIDMatch=rule.ssids, DNSDomainMatch=rule.dns_domains, DNSServerAddressMatch=rule.dns_servers
        ),
    }


def _evaluation(evaluation: Evaluation) -> Dictionary:
    return {
        "Domains": list(evaluation.domains),
        "DomainAction": str(evaluation.action),
        **_given(RequiredURLStringProbe=evaluation.required_url_probe),
        **_lists(RequiredDNSServers=evaluation.required_dns_servers),
    }


def _given(**keys: object) -> Dictionary:
    """Return the keys that have a value, as a plist holds it."""
    given: Mapping[str, object] = {name: value for name, value in keys.items() if value not in (None, [])}
    return {name: str(value) if isinstance(value, enum.StrEnum) else value for name, value in given.items()}


def _lists(**keys: tuple[str, ...]) -> Dictionary:
    return {name: [str(each) for each in values] for name, values in keys.items() if values}


def _shown(text: str) -> str:
    """Return a name from a certificate as a plist can hold it and a device shows it."""
    return "".join(letter for letter in text if letter.isprintable())[:_LONGEST_SHOWN] or "Certificate"
