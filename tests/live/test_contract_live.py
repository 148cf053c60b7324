"""The running service keeps openapi.yaml: schemathesis sends every operation what it allows and what it forbids.

Operations come from openapi.yaml, so a new one cannot be forgotten. In continuous integration every run is the
same; `CONTRACT_EXAMPLES=1000` hunts for longer, and at random.
"""

import functools
import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.config import SchemathesisConfig

from tests.api.contract import document
from tests.builders import a_bundle, a_pkcs12
from tests.live.service import LIVE, LiveService
from tests.paths import ROOT
from tests.values.policies.policy_documents import a_document, a_tunnel

pytestmark = [*LIVE, pytest.mark.timeout(900)]

CONTRACT = ROOT / "openapi.yaml"
HUNT = int(os.environ.get("CONTRACT_EXAMPLES", "0"))
SETTINGS = hypothesis.settings(
    max_examples=HUNT or 15,
    derandomize=not HUNT,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
NUMBERS = itertools.count()
TURNS = itertools.count()
NOBODY = "NOBODY999999"
"""A device of which nothing is kept."""
FILE_PARTS = {"bundle", "identities", "uploadFile"}
WITHOUT_PAGES = {"text/csv", "application/x-ndjson"}
# No schema can say which cursors were given and which file is in a bundle.
LEFT_OUT = {"cursor", "credentials_file", "credentialFileName"}


def a_fresh_bundle() -> bytes:
    return a_bundle([f"CONTRACT{next(NUMBERS):06}"])


@functools.cache
def a_long_bundle() -> bytes:
    """One that a worker is busy with for some seconds: of all its files, the first chunk alone takes one."""
    names = [f"LONGER{number:06}" for number in range(300)]
    return a_bundle(names, files=dict.fromkeys(names, a_pkcs12(iterations=100_000)))


schemathesis.openapi.media_type(
    "application/octet-stream", st.binary(max_size=300) | st.integers(0, 1000).map(lambda _: a_fresh_bundle())
)


@schemathesis.deserializer(
    "text/csv",
    "text/plain",
    "text/html",
    "application/yaml",
    "application/x-ndjson",
    "application/x-apple-aspen-config",
)
def as_text(_: object, response: schemathesis.Response) -> str:
    return response.content.decode()


def the_contract(**options: Any) -> Any:
    return schemathesis.openapi.from_path(CONTRACT, config=SchemathesisConfig.from_dict(options))


def can_succeed(context: Any) -> bool:
    if context.operation.path == "/mdm/nanomdm/webhook":
        return False  # without an MDM server and its key nothing that is sent there is taken: tests/mdm
    return any(str(status).startswith("2") for status in context.operation.definition.raw["responses"])


ALLOWED = the_contract(
    generation={"mode": "positive", "allow-x00": False, "codec": "ascii"},
    checks={
        # 422 is what the contract calls understood and unusable: it begins where the words of a schema end.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422", "429"]},
        "negative_data_rejection": {"enabled": False},  # files are put in that no schema describes
    },
).include(can_succeed)
ANYTHING = the_contract(checks={"positive_data_acceptance": {"enabled": False}})


class Forms(requests.Session):
    """Names the parts of a form that are files, as every client does (RFC 7578 §4.2) and schemathesis does not."""

    def request(self, *arguments: Any, **rest: Any) -> requests.Response:  # type: ignore[override]
        if isinstance(rest.get("files"), list):
            rest["files"] = [(name, self._named(name, part)) for name, part in rest["files"]]
        return super().request(*arguments, **rest)

    def _named(self, name: str, part: Any) -> Any:
        if name not in FILE_PARTS:
            return part
        return "upload.zip", part[1] if isinstance(part, tuple) else part, "application/octet-stream"


class Run:
    """Calls by an owner, who logs in again where a call ended her session."""

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.session = Forms()
        self.session.trust_env = False
        self.answers: Counter[int] = Counter()
        self.log_in()

    def ask(self, method: str, path: str, **rest: Any) -> requests.Response:
        return self.session.request(
            method, self.service.base_url + path, verify=str(self.service.ca_file), timeout=60, **rest
        )

    def log_in(self) -> None:
        login = {"login": "administrator", "password": self.service.password}
        while (answer := self.ask("POST", "/api/v1/sessions", json=login)).status_code == 429:
            time.sleep(int(answer.headers["Retry-After"]))
        token = answer.json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}", "Auth_token": token}

    def make(self, path: str, **body: Any) -> Any:
        headers = self.headers | body.pop("headers", {})
        answer = self.ask("POST", path, headers=headers, **body)
        assert answer.ok, answer.text
        return answer.json()

    def send(self, case: Case, accept: str | None = None) -> None:
        headers = self.headers if case.operation.definition.raw.get("security") != [] else {}
        if accept:
            headers = headers | {"Accept": accept}
        answer = case.call_and_validate(
            base_url=self.service.base_url,
            session=self.session,
            headers=headers,
            verify=str(self.service.ca_file),
            timeout=60,
        )
        self.answers[answer.status_code] += 1
        if case.method not in {"GET", "HEAD"} and not self.is_logged_in():
            self.log_in()

    def is_logged_in(self) -> bool:
        return self.ask("GET", "/api/v1/limits", headers=self.headers).ok

    # --- what is there to be named ---

    def known(self, name: str, path: str) -> str:
        """Something that a path parameter can name: made for the purpose, or else found in the list above it."""
        match name:
            case "certificate_id":
                self.import_one()
                items = self.ask(
                    "GET", "/api/v1/certificates?state=current&limit=1", headers=self.headers
                ).json()
                return str(items["items"][0]["id"])
            case "login":
                login = f"user-{next(NUMBERS)}"
                return str(self.make("/api/v1/users", json={"login": login, "role": "auditor"})["login"])
            case "client_id":
                return str(self.make_client()["client_id"])
            case "policy_id" if path.endswith("/profile"):
                return self.make_policy(self.device["identity"])
            case "policy_id":
                return self.make_policy()
            case "deployment_id":
                return self.lease_one() if path.endswith(("/profile", "/report")) else self.plan_one()
            case "device_id":
                search = {"search": self.device["identity"]}
                found = self.make("/xenmobile/api/v1/device/filter/v2", json=search)
                return str(found["filteredDevicesDataList"][0]["id"])
            case "import_id" if path.endswith("/cancel"):
                return str(self.import_for_long()["id"])
            case "import_id":
                return str(self.import_one()["id"])
        above = path.partition("/{")[0]
        items = self.ask("GET", f"{above}?limit=1000", headers=self.headers).json()["items"]
        return str(items[-1].get(name, items[-1].get("id"))) if items else "none"

    def make_client(self) -> Any:
        return self.make("/api/v1/clients", json={"name": "contract", "scopes": ["imports:read"]})

    @functools.cached_property
    def device(self) -> Any:
        """The item of a device that is imported once for all that is asked about it."""
        name = f"DEVICE{next(NUMBERS):06}"
        done = self.import_bundle(a_bundle([name]), {"Prefer": "wait=30"})
        path = f"/api/v1/imports/{done['id']}/items"
        [item] = self.ask("GET", path, headers=self.headers).json()["items"]
        return item

    def make_policy(self, serial_number: str = NOBODY) -> str:
        return str(self.make("/api/v1/vpn-policies", json=a_usable_policy(serial_number))["id"])

    def plan_one(self) -> str:
        self.policy_id = self.make_policy(self.device["identity"])
        path = f"/api/v1/deployments?policy_id={self.policy_id}"
        [deployment] = self.ask("GET", path, headers=self.headers).json()["items"]
        return str(deployment["id"])

    def lease_one(self) -> str:
        """Lease a deployment; its token is `self.lease` then."""
        planned = self.plan_one()
        [item] = self.make("/api/v1/deployments/lease", json={"policy": self.policy_id})["items"]
        self.lease = item["lease"]
        return planned

    def import_for_long(self) -> Any:
        return self.make(
            "/api/v1/imports",
            data={"identity_type": "SERIAL_NUMBER"},
            files={"bundle": ("b.zip", a_long_bundle())},
            headers={"Prefer": "respond-async"},
        )

    def import_one(self) -> Any:
        return self.import_bundle(a_fresh_bundle())

    def import_bundle(self, bundle: bytes, headers: dict[str, str] | None = None) -> Any:
        return self.make(
            "/api/v1/imports",
            data={"identity_type": "SERIAL_NUMBER"},
            files={"bundle": ("b.zip", bundle)},
            headers=headers or {},
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    settings = {
        "BULKCERT_WAIT_SECONDS": "1",
        "BULKCERT_PUBLIC_URL": "https://localhost",
        "BULKCERT_LIMIT_POLICIES": "100000",  # each example makes one
    }
    with LiveService(tmp_path_factory.mktemp("contract") / "data", settings) as service:
        yield service


@pytest.fixture
def run(service: LiveService) -> Iterator[Run]:
    run = Run(service)
    yield run
    run.session.close()


def make_usable(case: Case, run: Run) -> None:
    """Put in what no schema can say: bundles, passwords that are right, and things that are there."""
    case.path_parameters = {name: run.known(name, case.path) for name in case.path_parameters}
    case.query = {name: value for name, value in case.query.items() if name not in LEFT_OUT}
    if case.media_type == "multipart/form-data":
        case.query = {}
        case.body = {
            name: usable_part(name, value) for name, value in case.body.items() if name not in LEFT_OUT
        }
    elif case.media_type == "application/octet-stream":
        case.body = a_fresh_bundle()
    elif isinstance(case.body, dict):
        case.body = usable_members(case.body, case.path, run)


def usable_part(name: str, value: Any) -> Any:
    if name in FILE_PARTS:
        return b"CONTRACT000001\n" if name == "identities" else a_fresh_bundle()
    if isinstance(value, dict):
        return {member: each for member, each in value.items() if member not in LEFT_OUT}
    return value


def usable_members(body: dict[str, Any], path: str, run: Run) -> dict[str, Any]:
    members = {name: whole(value) for name, value in body.items() if name not in LEFT_OUT}
    if path.endswith(("/sessions", "/login")):
        return {"login": "administrator", "password": run.service.password}
    if path.endswith("/token/revoke"):  # the token in the header says who calls
        return {name: value for name, value in members.items() if not name.startswith("client_")}
    if path.endswith("/token"):
        client = run.make_client()
        shown = {name: client[name] for name in ("client_id", "client_secret")}
        return {"grant_type": "client_credentials", "scope": "imports:read"} | shown
    if "/vpn-policies" in path and "tunnels" in members:
        usable = a_usable_policy(NOBODY)
        return usable if next(TURNS) % 2 else members | {"name": usable["name"]}
    if path.endswith("/vpn-policies/{policy_id}/profile"):
        return {"certificate_id": run.device["certificate_id"]}
    if "/deployments/" in path and "lease" in members:
        seen = {"certificate_sha256": run.device["fingerprint_sha256"]}
        return members | {"lease": run.lease} | (seen if "certificate_sha256" in members else {})
    if "current" in members:
        members |= {"current": run.service.password, "new": run.service.password}
    return members


def whole(value: Any) -> Any:
    """JSON Schema calls 1.0 an integer; clients write 1."""
    if isinstance(value, dict):
        return {name: whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def a_usable_policy(serial_number: str) -> dict[str, Any]:
    """One that serves one device, and that its certificate fits."""
    tunnel = a_tunnel(local_identifier="{common_name}")
    return a_document(name=f"policy {next(NUMBERS)}", identities=[serial_number], tunnels=[tunnel])


def accepted_types(case: Case) -> list[str]:
    """The media types in which an operation can succeed."""
    responses = case.operation.definition.raw["responses"]
    return [
        media_type
        for status, response in responses.items()
        if str(status).startswith("2")
        for media_type in response.get("content", {})
    ]


@pytest.fixture
def successful_run(run: Run) -> Iterator[Run]:
    """Refusals are allowed where the schema cannot tell; but refusing everything is not."""
    yield run
    assert any(200 <= status < 300 for status in run.answers), run.answers


# Items of schemathesis share one id under pytest 9.2, unless something else is parametrised as well; and of items
# that share an id, xdist runs one alone.
ITS_OWN_ID = pytest.mark.parametrize("how", ["live"])


@ITS_OWN_ID
@ALLOWED.parametrize()
@SETTINGS
def test_what_the_contract_allows_is_accepted(case: Case, successful_run: Run, how: str) -> None:
    make_usable(case, successful_run)
    kinds = accepted_types(case)
    accept = kinds[next(NUMBERS) % len(kinds)] if kinds else None
    if accept in WITHOUT_PAGES:
        case.query = {name: value for name, value in case.query.items() if name != "limit"}
    successful_run.send(case, accept)


@ITS_OWN_ID
@ANYTHING.parametrize()
@SETTINGS
def test_whatever_is_sent_is_answered_as_the_contract_says(case: Case, run: Run, how: str) -> None:
    run.send(case)


def test_every_operation_has_an_item_with_an_id_of_its_own(request: pytest.FixtureRequest) -> None:
    ids = [item.nodeid for item in request.session.items if item.path == Path(__file__)]
    written = [
        f"{method.upper()} {path}"
        for path, methods in document()["paths"].items()
        for method in methods
        if method in {"get", "put", "post", "delete", "patch"}
    ]

    assert len(ids) == len(set(ids))
    assert sorted(found.ok().label for found in ANYTHING.get_all_operations()) == sorted(written)
