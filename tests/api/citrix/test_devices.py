"""Devices at the Citrix-compatible API: listed with their deployments, shown with their certificates."""

import json

import pytest

from bulkcert.store.transaction import Transaction
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import SCOPES_OF, Caller, Role, Scope
from tests.api.citrix.conftest import a_citrix_caller, refusal_of
from tests.builders import NOW, a_bundle, a_pkcs12
from tests.values.policies.policy_documents import a_document, a_tunnel

SERIALS = ["A12BC3D4EFGH", "B12BC3D4EFGH", "C12BC3D4EFGH"]
IMEI = "490154203237518"
FILTER = "/device/filter/v2"
PRINTED = (
    '{"start":"0","limit":"10","sortOrder":"ASC","sortColumn":"ID","search":"","enableCount":"false",'
    '"filterIds":"[]"}'
)


@pytest.fixture
def caller():
    return Caller(1, "administrator", "0" * 32, SCOPES_OF[Role.OWNER])


def upload(citrix, worker, names, identity_type="SERIAL_NUMBER", files=None):
    with worker.working():
        answer = citrix.upload(a_bundle(names, files=files), json.dumps({"identityType": identity_type}))
    assert answer.json["status"] == 0


@pytest.fixture
def kept(citrix, worker):
    """Three devices; their ids are in the order of the upload, which is not that of their names."""
    upload(citrix, worker, reversed(SERIALS))


def listed(citrix, **members):
    answer = citrix.post(FILTER, json.dumps(members))
    assert answer.status_code == 200, answer.text
    return answer.json


def names(found):
    return [device["deviceIdentity"] for device in found["filteredDevicesDataList"]]


def shown(citrix, device_id):
    answer = citrix.get(f"/device/{device_id}")
    assert answer.status_code == 200, answer.text
    assert answer.json["status"] == 0
    return answer.json["device"]


def test_the_printed_body_lists_devices_with_their_members(citrix, kept):
    answer = citrix.post(FILTER, PRINTED)
    envelope = answer.json

    assert list(envelope) == [
        "status",
        "message",
        "currentFilter",
        "filteredDevicesDataList",
        "totalCount",
        "matchedRecords",
    ]
    assert (envelope["status"], envelope["message"]) == (0, "Success")
    assert (envelope["totalCount"], envelope["matchedRecords"]) == (3, 3)
    assert envelope["currentFilter"] == {"detail": [], "selectedFilters": []}
    first = envelope["filteredDevicesDataList"][0]
    assert isinstance(first.pop("id"), int)
    assert first == {
        "serialNumber": SERIALS[2],
        "imeiOrMeid": None,
        "deviceName": None,
        "devicePlatform": "iOS",
        "osVersion": None,
        "lastAccess": None,
        "deployPending": 0,
        "deploySuccess": 0,
        "deployFailed": 0,
        "identityType": "SERIAL_NUMBER",
        "deviceIdentity": SERIALS[2],
    }


@pytest.mark.parametrize("body", ["", "null", "{}", '{"start":0,"limit":10,}', "{'filterIds':'[]'} # all"])
def test_every_member_may_be_left_out(citrix, kept, body):
    assert names(citrix.post(FILTER, body).json) == SERIALS


def test_a_device_that_is_named_by_its_imei_has_no_serial_number(citrix, worker, kept):
    upload(citrix, worker, [IMEI], "IMEI", {IMEI: a_pkcs12(IMEI)})
    [device] = listed(citrix, search="4901")["filteredDevicesDataList"]

    assert (device["serialNumber"], device["imeiOrMeid"]) == (None, IMEI)
    assert (device["identityType"], device["deviceIdentity"]) == ("IMEI", IMEI)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, SERIALS),
        ({"sortColumn": "ID"}, SERIALS[::-1]),
        ({"sortColumn": "id", "sortOrder": "asc"}, SERIALS[::-1]),
        ({"sortColumn": "ID", "sortOrder": "DESC"}, SERIALS),
        ({"sortColumn": "SERIALNUMBER", "sortOrder": "DESC"}, SERIALS[::-1]),
        ({"sortColumn": "imeiOrMeid"}, SERIALS),
        ({"limit": "2"}, SERIALS[:2]),
        ({"limit": 2, "start": 1}, SERIALS[1:]),
        ({"start": "2", "limit": ""}, SERIALS[2:]),
        ({"start": "3"}, []),
        ({"search": "b12bc"}, [SERIALS[1]]),
        ({"search": " 12BC3 ", "limit": 1}, SERIALS[:1]),
        ({"search": "%"}, []),
        ({"search": "_"}, []),
        ({"search": None, "enableCount": True, "filterIds": []}, SERIALS),
        ({"unknown": [{"x": 1}]}, SERIALS),
        ({"search": 12}, SERIALS),
        ({"limit": 100000, "enableCount": "true", "filterIds": "[]"}, SERIALS),
        ({"limit": "100000", "start": 0}, SERIALS),
        ({"limit": "5000", "filterIds": " [] "}, SERIALS),
        ({"filterIds": " \n"}, SERIALS),
    ],
)
def test_a_part_of_the_list_is_given_in_the_order_that_is_asked_for(citrix, kept, members, expected):
    found = listed(citrix, **members)

    assert names(found) == expected
    assert found["totalCount"] == 3


@pytest.mark.parametrize(
    ("members", "code"),
    [
        *(
            ({"limit": bad}, "malformed_request")
            for bad in ("0", "100001", "-1", "x", "1.5", 1.5, True, [], "٣")
        ),
        *(({"start": bad}, "malformed_request") for bad in ("-1", "1" * 11, "x", {}, False)),
        ({"search": 1.5}, "malformed_request"),
        ({"search": True}, "malformed_request"),
        ({"search": "a\x00b"}, "malformed_request"),
        ({"sortColumn": "lastAccess"}, "not_supported"),
        ({"sortOrder": "up"}, "not_supported"),
        ({"filterIds": "['device.issuer.ca#1@_fn_@device.issuer.ca']"}, "not_supported"),
        ({"filterIds": ["x"]}, "malformed_request"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(citrix, members, code):
    assert refusal_of(citrix.post(FILTER, json.dumps(members))) == (400, code)


@pytest.mark.parametrize("body", ["[]", "{", '"x"', "nul", b"\xff"])
def test_a_body_that_is_no_object_is_refused(citrix, body):
    assert refusal_of(citrix.post(FILTER, body)) == (400, "malformed_request")


def test_the_path_of_the_first_edition_answers_as_well(citrix, kept):
    body = json.dumps({"start": 0, "limit": 100000, "sortColumn": "ID", "filterIds": "[]"})

    assert citrix.post("/device/filter", body).data == citrix.post(FILTER, body).data


@pytest.mark.parametrize("body", ['{"start": "0", "limit": "1000"}', "{", "null", ""])
def test_there_are_no_server_properties(citrix, stranger, body):
    answer = citrix.post("/serverproperties/filter", body)

    assert answer.text == '{"status": 0, "message": "Success", "allEwProperties": []}\n'
    assert refusal_of(stranger.post("/serverproperties/filter", body))[0] == 401


# --- one device ---


def test_a_device_is_shown_with_its_certificate(citrix, kept, service):
    [entry] = listed(citrix, search=SERIALS[0])["filteredDevicesDataList"]
    device = shown(citrix, entry["id"])
    [certificate] = device.pop("validCertificates")
    facts = next(
        each.facts
        for each in service.inventory.current_certificates()
        if each.facts.subject.common_name == SERIALS[0]
    )

    assert device.pop("revokedCertificates") == []
    assert device == entry
    assert certificate == {
        "type": "device",
        "issuerName": facts.issuer.text,
        "certificateNumber": facts.serial_number,
        "startDate": int(facts.not_before.timestamp()) * 1000,
        "endDate": int(facts.not_after.timestamp()) * 1000,
        "daysToExpire": certificate["daysToExpire"],
        "revoked": False,
        "state": "current",
    }
    assert 364 <= certificate["daysToExpire"] <= 365


def test_a_device_keeps_its_id_whatever_happens_to_its_certificates(citrix, worker, kept):
    [entry] = listed(citrix, search=SERIALS[0])["filteredDevicesDataList"]
    upload(citrix, worker, [SERIALS[0]])
    replaced = shown(citrix, entry["id"])
    citrix.remove(SERIALS[0].encode(), '{"identityType":"SERIAL_NUMBER"}')
    deleted = shown(citrix, entry["id"])
    gone = listed(citrix)
    upload(citrix, worker, [SERIALS[0]])
    again = shown(citrix, entry["id"])

    def states(device):
        lists = device["validCertificates"], device["revokedCertificates"]
        return [[(each["state"], each["revoked"]) for each in some] for some in lists]

    assert states(replaced) == [[("current", False)], [("superseded", True)]]
    assert states(deleted) == [[], [("deleted", True)] * 2]
    assert names(gone) == SERIALS[1:]
    assert gone["totalCount"] == 2
    assert states(again) == [[("current", False)], [("deleted", True)] * 2]
    assert [device["id"] for device in listed(citrix, search=SERIALS[0])["filteredDevicesDataList"]] == [
        entry["id"]
    ]


def test_certificates_that_are_out_of_use_come_the_newest_first(citrix, worker, service, kept):
    [entry] = listed(citrix, search=SERIALS[0])["filteredDevicesDataList"]
    numbers = []
    for _ in range(3):
        numbers.append(shown(citrix, entry["id"])["validCertificates"][0]["certificateNumber"])
        upload(citrix, worker, [SERIALS[0]])

    revoked = shown(citrix, entry["id"])["revokedCertificates"]
    assert [each["certificateNumber"] for each in revoked] == numbers[::-1]


def test_the_numbers_of_its_other_certificates_are_no_devices(citrix, worker, kept):
    upload(citrix, worker, [SERIALS[0]])
    entries = citrix.get("/certificates").json["certificate"]
    [newest] = [each["id"] for each in entries if each.get("deviceIdentity") == SERIALS[0]]
    [chain] = [each["id"] for each in entries if each["type"] == "chain"]

    assert refusal_of(citrix.get(f"/device/{newest}")) == (404, "not_found")
    assert refusal_of(citrix.get(f"/device/{chain}")) == (404, "not_found")


@pytest.mark.parametrize("device_id", ["0", "-1", "01", "x", "9" * 40, "%00", "123456", "1%20", "%D9%A1"])
def test_an_id_that_is_none_is_not_found(citrix, device_id):
    assert refusal_of(citrix.get(f"/device/{device_id}")) == (404, "not_found")


@pytest.mark.parametrize("body", [b"null", b"", b"{"])
def test_a_body_on_get_is_ignored(citrix, kept, body):
    [entry] = listed(citrix, search=SERIALS[0])["filteredDevicesDataList"]

    assert citrix.get(f"/device/{entry['id']}", data=body, content_type="application/json").status_code == 200


# --- deployments, which is how an installation is confirmed ---


def counts(citrix, serial=SERIALS[0]):
    [entry] = listed(citrix, search=serial)["filteredDevicesDataList"]
    device = shown(citrix, entry["id"])
    seen = [device[f"deploy{what}"] for what in ("Pending", "Success", "Failed")]
    assert seen == [entry[f"deploy{what}"] for what in ("Pending", "Success", "Failed")]
    return tuple(seen)


def test_a_device_says_how_its_deployments_stand(citrix, kept, service, caller):
    document = a_document(identities=[SERIALS[0]], tunnels=[a_tunnel(local_identifier="{common_name}")])
    policy = service.vpn_policies.create(VpnPolicy.from_document(document), caller)
    other = VpnPolicy.from_document(document | {"name": "another"})
    service.vpn_policies.create(other, caller)
    assert (counts(citrix), counts(citrix, SERIALS[1])) == ((2, 0, 0), (0, 0, 0))

    [lease] = service.leases.lease(1, 60, "d")
    number, token = lease.deployment.id, lease.token
    assert counts(citrix) == (2, 0, 0)
    service.profile_release.release(number, token, "d")
    service.leases.report_delivered(number, token, "d", 60)
    assert counts(citrix) == (2, 0, 0)
    wanted = service.inventory.find(lease.deployment.certificate_id)
    service.leases.report_installed(number, token, "d", wanted.facts.fingerprint_sha256)
    assert counts(citrix) == (1, 1, 0)
    [lease] = service.leases.lease(1, 60, "d")
    service.leases.report_failed(lease.deployment.id, lease.token, "d", "x", "x")
    assert counts(citrix) == (0, 1, 1)
    service.vpn_policies.delete(policy.id, caller, removes=True)
    assert counts(citrix) == (1, 0, 1)
    [lease] = service.leases.lease(1, 60, "d")
    service.leases.report_removed(lease.deployment.id, lease.token, "d")
    assert counts(citrix) == (0, 0, 1)


def test_a_device_says_when_the_mdm_server_last_told_of_it(citrix, kept, service):
    identity = DeviceIdentity(IdentityType.SERIAL_NUMBER, SERIALS[0])
    with service.store.writing() as tx:
        see(tx, identity)

    [first, second, _] = listed(citrix)["filteredDevicesDataList"]
    assert first["lastAccess"] == int(NOW.timestamp()) * 1000
    assert second["lastAccess"] is None


def see(tx: Transaction, identity: DeviceIdentity) -> None:
    import sqlalchemy as sa

    from bulkcert.store.tables.mdm import mdm_devices, mdm_identities

    connection = tx._connection
    connection.execute(sa.insert(mdm_devices).values(udid="U", is_enrolled=True, last_seen_at=NOW))
    pin = {"identity_type": identity.type, "identity": identity.value, "udid": "U", "pinned_at": NOW}
    connection.execute(sa.insert(mdm_identities).values(**pin))


@pytest.mark.parametrize("missing", [Scope.CERTIFICATES_READ, Scope.DEPLOYMENTS_READ])
def test_devices_need_both_scopes(app, service, missing):
    without = a_citrix_caller(app, service, set(Scope) - {missing})

    assert refusal_of(without.post(FILTER, "{}")) == (403, "insufficient_scope")
    assert refusal_of(without.get("/device/1")) == (403, "insufficient_scope")


def test_devices_need_no_other_scope(app, service):
    reader = a_citrix_caller(app, service, {Scope.CERTIFICATES_READ, Scope.DEPLOYMENTS_READ})

    assert reader.post(FILTER, "{}").json["filteredDevicesDataList"] == []
