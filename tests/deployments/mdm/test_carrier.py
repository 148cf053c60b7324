"""Deployments get to devices through an MDM server, once each, whatever goes wrong on the way."""

import plistlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog.testing

from bulkcert.deployments.mdm.assembly import make_carrier
from bulkcert.deployments.mdm.nanomdm_client import NanoMdm
from bulkcert.errors.mdm import MdmNotConfigured
from bulkcert.values.events import EventType
from bulkcert.values.mdm import DEPLOYER
from bulkcert.values.policies import DeploymentState
from bulkcert.values.secret import Secret
from tests.builders import a_bundle, a_certificate, a_pkcs12, an_ec_key
from tests.deployments.mdm.site import WAIT, A, B, Site, any_site_fixture, policy, site_fixture  # noqa: F401

INSTALLED, PENDING, LEASED = DeploymentState.INSTALLED, DeploymentState.PENDING, DeploymentState.LEASED


def kinds(device: Any) -> Counter[str]:
    return Counter(given.request_type for given in device.commands)


def queued(site: Site, request_type: str = "InstallProfile") -> int:
    """How many commands of a kind the MDM server was given, whatever it answered."""
    bodies = [each.body for each in site.server.requests if "/v1/enqueue/" in each.target and each.body]
    names = {
        plistlib.loads(body)["CommandUUID"]
        for body in bodies
        if plistlib.loads(body)["Command"]["RequestType"] == request_type
    }
    return len(names)


def test_a_device_gets_its_profile_and_is_asked_for_it(any_site: Site) -> None:
    site = any_site
    device = site.enroll()
    site.wish()
    site.carry()

    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [1]
    wanted = ("DeviceInformation", "InstallProfile", "ProfileList", "CertificateList")
    assert kinds(device) == Counter(wanted)
    assert site.refusals == []
    told = site.events(EventType.KEY_RELEASED, EventType.DEPLOYMENT_DELIVERED, EventType.DEPLOYMENT_INSTALLED)
    assert [each["number"] for each in told] == [7010, 4010, 4011]


def test_nothing_is_sent_for_a_device_that_was_never_heard_of(site: Site) -> None:
    site.wish(A, B)
    device = site.enroll(A)
    site.carry()

    assert (site.state(A), site.state(B)) == (INSTALLED, PENDING)
    assert list(device.installs.values()) == [1]
    assert site.deployment(B).attempts == 0


def test_a_device_that_the_mdm_server_forgot_is_never_believed_to_have_anything(site: Site) -> None:
    device = site.enroll()
    del site.server.devices[device.udid]  # from now on its id is unknown, and is queued for in silence
    site.wish()
    for _ in range(5):
        site.carry()
        site.later()

    assert site.state() is LEASED
    assert queued(site) == 1
    assert site.deployment().error_code == "not_woken"


def test_a_replaced_certificate_is_installed_over_the_old_one(site: Site) -> None:
    device = site.enroll()
    site.wish()
    site.carry()
    [old] = device.certificate_installs
    site.verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(key=an_ec_key())}))
    assert site.state() is PENDING
    site.carry()

    assert site.state() is INSTALLED
    assert list(device.certificate_installs.values()) == [1, 1]
    held = [one.fingerprint for one in device.certificates if one.is_identity]
    assert len(held) == 1
    assert old not in held


def test_a_changed_policy_is_not_taken_for_installed_because_the_certificate_is_there(site: Site) -> None:
    device = site.enroll()
    policy_id = site.wish()
    site.carry()
    device.forgets_profiles = True
    site.policies.replace(policy_id, policy(name="Another name"), site.verbs.caller)
    site.policies.replace(
        policy_id, policy(profile={"display_name": "Another"}), site.verbs.caller
    )  # fmt: skip
    site.carry()

    assert site.deployment().error_code == "not_on_device"


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_device_that_says_not_now_installs_later_and_once(site: Site, times: int) -> None:
    device = site.enroll()
    site.carry()
    device.not_now = times
    site.wish()
    site.carry(turns=1)
    assert site.state() is LEASED
    for _ in range(times + 1):
        site.carry()

    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [1]
    assert queued(site) == 1


def test_a_device_that_is_away_for_weeks_finds_one_command(site: Site) -> None:
    device = site.enroll()
    site.carry()
    device.online = False
    site.wish()
    for _ in range(60):
        site.carry()
        site.later(12 * 3600)

    assert (site.state(), site.deployment().attempts) == (LEASED, 1)
    assert len(site.server.queue.of(device.udid)) == 1
    device.online = True
    site.carry()
    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [1]


@pytest.mark.parametrize(
    "lost",
    [
        ["InstallProfile"],
        ["ProfileList"],
        ["CertificateList"],
        ["ProfileList", "CertificateList"],
        ["InstallProfile", "ProfileList", "CertificateList"],
    ],
    ids=" ".join,
)
def test_where_webhooks_are_lost_the_device_is_asked_and_nothing_is_installed_twice(
    site: Site, lost: list[str]
) -> None:
    device = site.enroll()
    site.carry()
    site.drops = lost
    site.wish()
    site.carry()
    assert site.state() is not INSTALLED
    if "ProfileList" not in lost and "CertificateList" not in lost:
        site.drops = lost
    else:
        site.drops = []
    for _ in range(4):
        site.later()
        site.carry()

    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [1]


def test_where_webhooks_are_later_than_the_wait_the_device_is_not_asked_again_and_again(site: Site) -> None:
    """Each question makes more webhooks, and they would be later still."""
    device = site.enroll()
    site.carry()
    site.wish()
    site.delay_seconds = 2 * WAIT
    for _ in range(20):
        site.arrive()
        site.carry()
        site.server.connect(device)  # it has other business with the MDM server, too
        site.later(WAIT / 2)

    assert site.state() is INSTALLED
    assert (queued(site), queued(site, "ProfileList"), list(device.installs.values())) == (1, 1, [1])


def test_a_lost_refusal_is_found_out_by_asking_twice(site: Site) -> None:
    device = site.enroll()
    site.carry()
    device.errors["InstallProfile"] = "The disk is full."
    site.drops = ["InstallProfile"]
    site.wish()
    site.carry()
    site.later()
    site.carry()
    assert queued(site) == 1  # the first look may have come before the device was ready for it
    del device.errors["InstallProfile"]
    site.drops = []
    site.later()
    site.carry()

    assert site.state() is INSTALLED
    assert (queued(site), list(device.installs.values())) == (2, [1])


@pytest.mark.parametrize(
    ("fields", "members", "words"),
    [
        ({"supervised": False}, {}, "requires a supervised device"),
        ({"reads_modern_pkcs12": False}, {"pkcs12_encryption": "aes256"}, "see pkcs12_encryption"),
        ({"errors": {"InstallProfile": "\u202e\n\n" + "x" * 100_000}}, {}, "xxx"),
    ],
)
def test_what_a_device_refuses_fails_with_its_own_words(
    site: Site, fields: dict[str, Any], members: dict[str, Any], words: str
) -> None:
    site.enroll(**fields)
    site.wish(**members)
    site.carry()

    found = site.deployment()
    assert (found.state, found.error_code) == (DeploymentState.FAILED, "device_refused")
    assert words in (found.error_detail or "")
    assert len(found.error_detail or "") < 1000
    assert (found.error_detail or "").isprintable()


def test_what_failed_is_tried_again_after_a_pause(site: Site) -> None:
    device = site.enroll(supervised=False)
    site.wish()
    site.carry()
    device.supervised = True
    site.carry()
    assert site.state() is DeploymentState.FAILED
    site.later(60)
    site.carry()

    assert site.state() is INSTALLED
    assert site.deployment().error_code is None


def test_an_acknowledged_profile_that_is_not_there_is_not_installed(site: Site) -> None:
    site.enroll(forgets_profiles=True)
    site.wish()
    site.carry()

    assert (site.state(), site.deployment().error_code) == (DeploymentState.FAILED, "not_on_device")


def test_a_certificate_that_does_not_fit_is_never_sent(site: Site) -> None:
    site.enroll()
    key = an_ec_key()
    wrong = a_pkcs12(key=key, certificate=a_certificate(key, client_auth=False))
    site.verbs.import_bundle(a_bundle([A], files={A: wrong}))
    site.policies.create(policy(), site.verbs.caller)
    site.carry()

    assert (site.state(), site.deployment().error_code) == (DeploymentState.FAILED, "usage_not_client_auth")
    assert queued(site) == 0


# An MDM server that does not do as it should


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("error", "mdm_uncertain"),
        ("html", "mdm_uncertain"),
        ("garbage", "mdm_uncertain"),
        ("close", "mdm_uncertain"),
        ("hang", "mdm_uncertain"),
    ],
)
def test_a_server_that_gives_no_clear_answer_is_given_the_same_command_again(
    site: Site, kind: str, code: str, after: bool
) -> None:
    device = site.enroll()
    site.carry()
    site.timeout = 3.0 if kind == "hang" else 10.0  # longer than a collection of garbage takes
    site.new_carrier()
    site.server.fail(kind, times=2, after=after, path=f"/v1/enqueue/{device.udid}")
    site.wish()
    with structlog.testing.capture_logs() as logs:
        site.carrier.carry_once()
    found = site.deployment()
    assert (found.error_code, found.state) == (code, LEASED)
    assert [each["log_level"] for each in logs] == ["warning"]
    site.server.heal()
    for _ in range(5):
        site.later()
        site.carry()

    assert site.state() is INSTALLED
    assert (queued(site), list(device.installs.values())) == (1, [1])


def test_while_a_server_refuses_the_key_of_its_api_no_key_is_released(site: Site) -> None:
    serials = [f"C12BC3D4{number:04}" for number in range(10)]
    for serial in serials:
        site.enroll(serial)
    site.carry()
    site.new_carrier()
    site.server.api_key = "another key"
    site.wish(*serials)
    for _ in range(5):
        site.carry()
        site.later(31)

    assert {site.deployment(serial).error_code for serial in serials} == {"mdm_unauthorised"}
    assert site.events(EventType.KEY_RELEASED) == []  # it is asked with nothing in hand


def test_a_server_that_is_away_gets_everything_later(site: Site) -> None:
    devices = [site.enroll(serial) for serial in (A, B)]
    site.carry()
    site.server.stop()
    site.wish(A, B)
    for _ in range(3):
        site.carry()
        site.later(60)
    assert site.states() == [PENDING, PENDING]
    assert site.deployment().error_code == "mdm_unreachable"
    assert site.deployment().attempts == 0
    site.server.start()
    site.later(60)
    site.carry()

    assert site.states() == [INSTALLED, INSTALLED]
    assert [list(each.installs.values()) for each in devices] == [[1], [1]]


@pytest.mark.parametrize("kind", ["error", "html", "garbage", "close"])
def test_while_something_else_answers_no_key_is_released(site: Site, kind: str) -> None:
    site.enroll()
    site.carry()
    site.new_carrier()
    site.server.fail(kind, times=1000)
    site.wish()
    for _ in range(5):
        site.carry()
        site.later(31)

    assert site.events(EventType.KEY_RELEASED) == []
    assert (site.state(), site.deployment().error_code) == (PENDING, "mdm_unreachable")
    assert queued(site) == 0
    site.server.heal()
    site.carry()
    assert site.state() is INSTALLED
    assert len(site.events(EventType.KEY_RELEASED)) == 1


def test_while_a_server_cannot_be_reached_nothing_is_released_and_all_that_waits_says_so(
    any_site: Site,
) -> None:
    site = any_site
    serials = [f"C12BC3D4{number:04}" for number in range(60)]  # more than are leased in one go
    for serial in serials:
        site.enroll(serial)
    site.carry()
    site.server.stop()
    site.wish(*serials)
    for _ in range(4):
        site.carry()
        site.later(31)
    site.verbs.import_bundle(a_bundle([A]))
    for _ in range(2):
        site.carry()
        site.later(31)

    assert site.events(EventType.KEY_RELEASED) == []
    found = [site.deployment(serial) for serial in serials]
    assert {each.error_code for each in found} == {"mdm_unreachable"}
    assert all(each.error_detail for each in found)
    assert site.deployment(A).error_code is None  # its device is not enrolled: it waits for that
    site.server.start()
    site.later(60)
    site.carry()
    assert {site.state(serial) for serial in serials} == {INSTALLED}
    assert {site.deployment(serial).error_code for serial in serials} == {None}
    assert len(site.events(EventType.KEY_RELEASED)) == len(serials)


def test_a_server_that_goes_away_among_many_commands_gets_few_keys_more_than_it_took(site: Site) -> None:
    serials = [f"C12BC3D4{number:04}" for number in range(40)]
    for serial in serials:
        site.enroll(serial)
    site.carry()
    site.wish(*serials)
    enqueue = NanoMdm.enqueue
    taken: list[str] = []

    def enqueue_until_it_stops(client: NanoMdm, udid: str, name: str, command: Secret) -> None:
        if len(taken) == 12:
            site.server.stop()
        enqueue(client, udid, name, command)
        taken.append(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NanoMdm, "enqueue", enqueue_until_it_stops)
        for _ in range(5):
            site.carry()
            site.later(31)

    assert len(taken) == 12
    assert 12 <= len(site.events(EventType.KEY_RELEASED)) <= 20


def test_what_waited_for_a_server_does_not_say_so_when_it_waits_for_its_device(site: Site) -> None:
    device = site.enroll()
    site.carry()
    site.server.stop()
    site.wish()
    site.carry()
    assert site.deployment().error_code == "mdm_unreachable"
    device.online = False
    site.server.start()
    site.later(60)
    site.carry()

    assert (site.state(), site.deployment().error_code) == (LEASED, None)


def test_a_list_that_waits_for_a_server_that_is_away_says_so(site: Site) -> None:
    site.enroll()
    site.carry()
    site.wish()
    site.carry(turns=1)
    assert site.state() is DeploymentState.DELIVERED
    site.server.stop()
    site.carry()

    found = site.deployment()
    assert (found.state, found.error_code) == (DeploymentState.DELIVERED, "mdm_unreachable")


@pytest.mark.parametrize(
    "refused", [["CertificateList"], ["ProfileList"], ["ProfileList", "CertificateList"]], ids="+".join
)
def test_a_device_that_took_the_profile_and_does_not_show_what_it_has_stays_delivered(
    any_site: Site, refused: list[str]
) -> None:
    site = any_site
    device = site.enroll(errors=dict.fromkeys(refused, "The MDM server has no right to ask."))
    site.wish()
    for _ in range(30):
        site.carry()
        site.later()

    found = site.deployment()
    assert (found.state, found.error_code) == (DeploymentState.DELIVERED, "device_refused")
    reasons = tuple(f"The device refused {each}: The MDM server has no right to ask." for each in refused)
    assert (found.error_detail or "").startswith(reasons)
    assert (list(device.installs.values()), queued(site)) == ([1], 1)
    assert len(site.events(EventType.KEY_RELEASED)) == 1
    assert len(site.events(EventType.DEPLOYMENT_FAILED)) == 0
    assert 2 <= queued(site, "CertificateList") <= 8  # in five hours
    device.errors.clear()
    site.later(3700)
    site.carry()
    assert (site.state(), site.deployment().error_code) == (INSTALLED, None)
    assert len(site.events(EventType.KEY_RELEASED)) == 1


def test_a_device_that_shows_by_one_list_that_it_has_nothing_gets_it_again(site: Site) -> None:
    device = site.enroll(errors={"CertificateList": "Not allowed."}, forgets_profiles=True)
    site.wish()
    site.carry()
    assert (site.state(), site.deployment().error_code) == (DeploymentState.FAILED, "not_on_device")
    device.forgets_profiles = False
    site.later(60)
    site.carry()

    assert (site.state(), site.deployment().error_code) == (DeploymentState.DELIVERED, "device_refused")


def test_a_wrong_key_is_told_once_and_nothing_is_lost(site: Site) -> None:
    site.enroll()
    site.server.api_key = "another key"
    site.wish()
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            site.carry()
            site.later(31)
    assert [each["code"] for each in logs if "code" in each] == ["mdm_unauthorised"]
    assert (site.state(), site.deployment().error_code) == (PENDING, "mdm_unauthorised")
    site.server.api_key = "an api key"
    site.carry()
    assert site.state() is INSTALLED


def test_a_push_error_is_noted_and_the_command_waits(site: Site) -> None:
    device = site.enroll()
    site.carry()
    site.server.push_error = "no push certificate"
    site.wish()
    site.later(3)
    site.carrier.carry_once()
    assert site.state() is LEASED
    assert site.deployment().error_code == "not_woken"
    assert "no push certificate" in (site.deployment().error_detail or "")
    site.tick(poll=False)
    assert not device.installs
    site.server.push_error = None
    site.later()
    site.carrier.carry_once()
    site.tick(poll=False)  # it was woken
    assert list(device.installs.values()) == [1]
    site.carry()
    assert (site.state(), site.deployment().error_code) == (INSTALLED, None)


def test_a_command_that_the_server_refuses_fails_its_deployment_alone(site: Site) -> None:
    one = site.enroll(A)
    site.enroll(B)
    site.carry()
    taken = site.server.queue.add

    def add(ids: list[str], name: str, raw: bytes) -> None:
        if one.udid in ids:
            raise OSError("disk full")
        taken(ids, name, raw)

    respond = site.server._enqueue

    def enqueue(ids: list[str], body: bytes, *, no_push: bool) -> Any:
        try:
            return respond(ids, body, no_push=no_push)
        except OSError as error:
            from tests.deployments.mdm.nanomdm.server import _json

            return _json({"command_error": str(error)}, 1)

    site.server.queue.add = add  # type: ignore[method-assign]
    site.server._enqueue = enqueue  # type: ignore[method-assign]
    site.wish(A, B)
    site.carry()
    assert (site.state(A), site.state(B)) == (DeploymentState.FAILED, INSTALLED)
    assert site.deployment(A).error_detail == "The MDM server refused the command: disk full"
    site.server.queue.add = taken  # type: ignore[method-assign]
    for _ in range(4):
        site.later()
        site.carry()
    assert site.state(A) is INSTALLED
    assert list(one.installs.values()) == [1]


# Removal


def test_a_deleted_policy_is_taken_off(any_site: Site) -> None:
    site = any_site
    device = site.enroll()
    policy_id = site.wish()
    site.carry()
    site.policies.delete(policy_id, site.verbs.caller, removes=True)
    site.carry()

    assert site.state() is DeploymentState.REMOVED
    assert device.profiles == {}
    assert list(device.removals.values()) == [1]


def test_a_profile_that_is_gone_already_counts_as_removed(site: Site) -> None:
    device = site.enroll()
    policy_id = site.wish()
    site.carry()
    device.profiles.clear()
    site.policies.delete(policy_id, site.verbs.caller, removes=True)
    site.carry()

    assert site.state() is DeploymentState.REMOVED
    assert site.deployment().error_code is None


def test_a_removal_that_the_device_refuses_is_not_believed(site: Site) -> None:
    device = site.enroll()
    policy_id = site.wish()
    site.carry()
    device.errors["RemoveProfile"] = "The user said no."
    site.policies.delete(policy_id, site.verbs.caller, removes=True)
    site.carry()

    found = site.deployment()
    assert (found.state, found.error_code) == (DeploymentState.REMOVING, "device_refused")
    assert "The user said no." in (found.error_detail or "")
    device.errors.clear()
    site.later(60)
    site.carry()
    assert site.state() is DeploymentState.REMOVED


def test_a_removal_whose_webhook_is_lost_is_found_out(site: Site) -> None:
    device = site.enroll()
    policy_id = site.wish()
    site.carry()
    site.drops = ["RemoveProfile"]
    site.policies.delete(policy_id, site.verbs.caller, removes=True)
    for _ in range(4):
        site.carry()
        site.later()

    assert site.state() is DeploymentState.REMOVED
    assert list(device.removals.values()) == [1]


def test_what_waits_for_a_device_that_is_away_is_installed_and_taken_off_in_order(site: Site) -> None:
    device = site.enroll()
    site.carry()
    device.online = False
    policy_id = site.wish()
    site.carry()
    site.policies.delete(policy_id, site.verbs.caller, removes=True)
    site.carry()
    device.online = True
    for _ in range(5):
        site.carry()
        site.later()

    assert site.state() is DeploymentState.REMOVED
    assert device.profiles == {}


# Enrolment


def test_a_device_that_enrols_anew_gets_everything_again(site: Site) -> None:
    device = site.enroll()
    site.wish()
    site.carry()
    site.later()
    device.profiles.clear()
    site.server.check_in(device)
    site.server.webhooks.drain()
    assert site.state() is PENDING
    site.carry()

    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [2]


@pytest.mark.parametrize("is_told", [True, False])
def test_a_queue_that_was_emptied_is_filled_again(site: Site, is_told: bool) -> None:
    device = site.enroll()
    site.carry()
    device.online = False
    site.wish()
    site.carry()
    site.later(2)
    if is_told:
        site.server.check_in(device)
        site.server.webhooks.drain()
    else:
        site.server.queue.clear(device.udid)
        site.server.update_token(device)
        site.server.webhooks.drain()
    device.online = True
    for _ in range(4):
        site.carry()
        site.later()

    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [1]


def test_a_lost_authenticate_is_made_up_for_by_the_first_token(site: Site) -> None:
    device = site.enroll()
    site.wish()
    site.carry()
    site.later()
    device.profiles.clear()
    device.token_updates = 0
    site.server.update_token(device)
    site.server.webhooks.drain()
    site.carry()

    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [2]


def test_a_device_that_leaves_has_nothing_any_more(site: Site) -> None:
    device = site.enroll()
    site.wish(A)
    site.carry()
    site.later()
    site.server.check_out(device)
    site.server.webhooks.drain()
    site.carry()
    assert site.state() is PENDING
    assert queued(site) == 1
    site.server.check_in(device)
    site.server.webhooks.drain()
    site.carry()
    assert site.state() is INSTALLED


def test_a_removal_ends_when_the_device_leaves(site: Site) -> None:
    device = site.enroll()
    policy_id = site.wish(A)
    site.carry()
    device.online = False
    site.policies.delete(policy_id, site.verbs.caller, removes=True)
    site.carry()
    site.later()
    site.server.check_out(device)
    site.server.webhooks.drain()
    assert site.state() is DeploymentState.REMOVED


def test_an_old_command_that_is_carried_out_late_makes_the_device_be_asked_again(site: Site) -> None:
    device = site.enroll()
    policy_id = site.wish()
    site.carry()
    site.policies.delete(policy_id, site.verbs.caller, removes=True)
    site.carry()
    assert site.state() is DeploymentState.REMOVED
    [install] = device.given("InstallProfile")
    with site.verbs.store.writing() as tx:  # as if nothing had been heard of it
        tx.mdm_commands.settle([install.command_uuid], "lost")  # type: ignore[arg-type]
    body = plistlib.dumps({"CommandUUID": install.command_uuid, "Command": install.command})
    device.commands.remove(install)
    site.server.queue._raw.pop(install.command_uuid)
    site.server.queue.add([device.udid], install.command_uuid, body)
    site.carry()
    site.later(60)
    site.carry()

    assert site.state() is DeploymentState.REMOVED
    assert device.profiles == {}


# Killed at any moment


class Killed(BaseException):
    """As SIGKILL: nothing is done on the way out."""


@contextmanager
def killed_at(site: Site, moment: int, where: str) -> Iterator[list[int]]:
    """Let the process die before or after its n-th transaction or request."""
    count = [0]

    def dying(do: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **rest: Any) -> Any:
            count[0] += 1
            if count[0] == moment and where.endswith("before"):
                raise Killed
            result = do(*arguments, **rest)
            if count[0] == moment and where.endswith("after"):
                raise Killed
            return result

        return step

    with pytest.MonkeyPatch.context() as patch:
        if where.startswith("request"):
            patch.setattr("bulkcert.deployments.mdm.nanomdm_client.NanoMdm._put", dying(NanoMdm._put))
        else:
            real = site.verbs.store.writing

            @contextmanager
            def writing() -> Iterator[Any]:
                count[0] += 1
                if count[0] == moment and where.endswith("before"):
                    raise Killed
                with real() as tx:
                    yield tx
                if count[0] == moment and where.endswith("after"):
                    raise Killed

            patch.setattr(site.verbs.store, "writing", writing)
        yield count


@pytest.mark.parametrize("moment", range(1, 9))
@pytest.mark.parametrize(
    "where", ["request before", "request after", "transaction before", "transaction after"]
)
def test_a_deployer_that_is_killed_at_any_moment_loses_nothing_and_does_nothing_twice(
    site: Site, where: str, moment: int
) -> None:
    devices = [site.enroll(serial) for serial in (A, B)]
    site.carry()
    site.wish(A, B)
    with killed_at(site, moment, where):
        try:
            for _ in range(4):
                site.carrier.carry_once()
                # Webhooks are another process, which is not killed here: its transactions are not counted.
        except Killed:
            pass
    site.new_carrier()
    for _ in range(5):
        site.carry()
        site.later()

    assert site.states() == [INSTALLED, INSTALLED]
    assert [list(each.installs.values()) for each in devices] == [[1], [1]]


def test_several_deployers_share_the_work_and_do_nothing_twice(site: Site) -> None:
    serials = [f"C12BC3D4{number:04}" for number in range(60)]
    devices = [site.enroll(serial) for serial in serials]
    site.carry()
    site.wish(*serials)
    carriers = [site.new_carrier() for _ in range(3)]
    for _ in range(10):
        for carrier in carriers:
            carrier.carry_once()
        site.tick()
    site.carry()

    assert set(site.states()) == {INSTALLED}
    assert [list(each.installs.values()) for each in devices] == [[1]] * 60
    assert queued(site) == 60
    assert len(site.events(EventType.KEY_RELEASED)) == 60


def test_what_somebody_elses_deployer_holds_is_left_alone(site: Site) -> None:
    device = site.enroll()
    site.wish()
    [lease] = site.leases.lease(1, 3 * WAIT, "a feed client")
    site.carry()
    assert not device.installs
    assert site.deployment().leased_by == "a feed client"
    site.later(3 * WAIT + 1)
    site.carry()
    assert site.state() is INSTALLED
    assert lease.token


def test_its_own_lease_is_not_lost_to_time(site: Site) -> None:
    device = site.enroll()
    site.carry()
    device.online = False
    site.wish()
    site.carry()
    assert site.deployment().leased_by == DEPLOYER
    site.later(100 * WAIT)
    device.online = True
    site.tick()  # while no deployer runs: the webhook alone goes on
    assert site.state() is DeploymentState.DELIVERED
    site.carry()
    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [1]


def test_without_a_server_there_is_no_deployer(site: Site) -> None:
    with site.verbs.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM mdm_servers")
    with pytest.raises(MdmNotConfigured):
        make_carrier(site.verbs.store, site.verbs.vault, site.profile_release, site.clock, site.rules)
