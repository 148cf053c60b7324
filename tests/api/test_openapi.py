"""openapi.yaml is valid, and says what the app does: no path, scope or member more or less."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from flask import Flask
from marshmallow import Schema, fields
from openapi_spec_validator import validate

from bulkcert import errors
from bulkcert.api import authorization, problems
from bulkcert.api.citrix.devices import MOST_LISTED
from bulkcert.api.v1.schemas import access, certificates, deployments, imports, pages, workers
from bulkcert.errors.file_kinds import FileKind
from bulkcert.values.bulk_requests import OnConflict, Outcome, RequestState
from bulkcert.values.certificates import CertificateState, KeyType, WarningCode
from bulkcert.values.identities import IdentityType
from bulkcert.values.policies import (
    ApplicationException,
    CaptivePortal,
    DeploymentState,
    Dns,
    Evaluation,
    OnDemand,
    OnDemandRule,
    ProfileTexts,
    Routing,
    SecurityAssociation,
    ServiceExceptions,
    Tunnel,
    VpnPolicy,
)
from bulkcert.values.policies.documents import Part, members_of
from bulkcert.values.policies.kinds import Among, Flag, Many, OneOf, Text, Whole
from bulkcert.values.principals import Role, Scope
from bulkcert.values.releases import Encryption, ReleaseFormat
from bulkcert.values.workers import WorkerState
from tests.api.conftest import NewService, an_app
from tests.api.contract import document, resolved
from tests.api.contract import validate as check_body

Operation = tuple[str, str]


@pytest.fixture(scope="module")
def app(new_service: NewService) -> Flask:
    return an_app(new_service())


def routes(app: Flask) -> dict[Operation, str]:
    """Endpoints by method and path; a path with and without a slash at its end is one."""
    return {
        (method.lower(), re.sub(r"<(?:[^<>]+:)?(\w+)>", r"{\1}", rule.rule).rstrip("/") or "/"): rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method != "HEAD"
    }


def operations() -> dict[Operation, dict[str, Any]]:
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    return {
        (method, path): operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in methods
    }


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"].startswith("3.1.")
    validate(document())


PREFIXES = [
    "/",
    "/api/v1/",
    "/health/",
    "/xenmobile/",
]


def below(prefix: str, found: Iterable[Operation]) -> set[Operation]:
    return {operation for operation in found if operation[1].startswith(prefix)}


def test_every_path_of_the_contract_is_routed(app: Flask) -> None:
    assert set(operations()) <= set(routes(app))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_route_is_in_the_contract(app: Flask, prefix: str) -> None:
    assert below(prefix, routes(app)) == below(prefix, operations()) != set()


def test_every_route_belongs_to_an_api(app: Flask) -> None:
    assert {path.split("/")[1] for _, path in routes(app)} == {
        *("api", "health", "mdm", "xenmobile"),
        *("", ".well-known", "openapi.json", "openapi.yaml", "problems"),
    }


@pytest.mark.parametrize("prefix", PREFIXES)
def test_scopes_are_those_that_the_app_asks_for(app: Flask, prefix: str) -> None:
    for operation in below(prefix, routes(app)):
        endpoint = routes(app)[operation]
        requirement = authorization.requirement_of(app, endpoint)
        written = operations()[operation].get("security", document()["security"])
        if requirement.is_public:
            assert written == [], operation
        elif requirement.takes_clients:  # by a token, by HTTP Basic, or in the form
            assert written == [{"bearer": []}, {"client": []}, {}], operation
        else:
            [[scopes]] = [alternative.values() for alternative in written]
            assert set(scopes) == requirement.scopes, operation


def test_every_operation_has_an_id_of_its_own_and_says_what_goes_wrong() -> None:
    ids = [operation["operationId"] for operation in operations().values()]

    assert len(ids) == len(set(ids))
    for (method, path), operation in operations().items():
        if path.startswith("/api/v1") and operation.get("security") != []:
            assert {"401", "403", "5XX"} <= set(operation["responses"]), (method, path)


def component(name: str) -> dict[str, Any]:
    return resolved(document()["components"]["schemas"][name])


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("Import", imports.Import),
        ("ImportCounts", imports.ImportCounts),
        ("Deletion", imports.DeletionReport),
        ("DeletionCounts", imports.DeletionCounts),
        ("Item", imports.Item),
        ("Worker", workers.Worker),
        ("Certificate", certificates.Certificate),
        ("User", access.User),
        ("IssuedUser", access.IssuedUser),
        ("Client", access.Client),
        ("IssuedClient", access.IssuedClient),
        ("Session", access.Session),
        ("Released", access.Released),
        ("KeptVpnPolicy", deployments.KeptPolicy),
        ("Deployment", deployments.DeploymentReport),
        ("Lease", deployments.LeaseReport),
    ],
)
def test_an_answer_has_the_members_of_the_contract_and_no_other(name: str, schema: type[Schema]) -> None:
    assert set(component(name)["properties"]) == set(component(name)["required"]) == set(schema().fields)


@pytest.mark.parametrize(
    ("name", "schema", "file"),
    [
        ("Login", access.Login, None),
        ("Revocation", access.Revocation, None),
        ("ImportForm", imports.ImportOrder, "bundle"),
        ("DeletionForm", imports.DeletionOrder, "identities"),
        ("DeletionOrder", imports.Deletion, None),
        ("NewUser", access.NewUser, None),
        ("NewRole", access.NewRole, None),
        ("NewPassword", access.NewPassword, None),
        ("OwnPassword", access.OwnPassword, None),
        ("NewClient", access.NewClient, None),
        ("Rotation", access.Rotation, None),
        ("ReleaseOrder", access.ReleaseOrder, None),
        ("ProfileOrder", deployments.ProfileOrder, None),
        ("LeaseOrder", deployments.LeaseOrder, None),
        ("HeldLease", deployments.HeldLease, None),
        ("DeploymentReport", deployments.Report, None),
    ],
)
def test_a_request_has_the_members_of_the_contract_and_no_other(
    name: str, schema: type[Schema], file: str | None
) -> None:
    written = component(name)
    read = schema().fields
    files = {file} if file else set()

    assert written["additionalProperties"] is False
    assert set(written["properties"]) == set(read) | files
    assert set(written["required"]) == {member for member, field in read.items() if field.required} | files


@pytest.mark.parametrize(
    ("operation", "schema"),
    [
        (("post", "/api/v1/imports/raw"), imports.ImportOrder),
        (("get", "/api/v1/imports"), pages.PageQuery),
        (("get", "/api/v1/sessions"), access.SessionsQuery),
        (("get", "/api/v1/users"), pages.PageQuery),
        (("get", "/api/v1/clients"), pages.PageQuery),
        (("get", "/api/v1/imports/{import_id}/items"), imports.ImportItemsQuery),
        (("get", "/api/v1/deletions"), pages.PageQuery),
        (("get", "/api/v1/deletions/{deletion_id}/items"), imports.DeletionItemsQuery),
        (("get", "/api/v1/certificates"), certificates.CertificatesQuery),
        (("get", "/api/v1/vpn-policies"), pages.PageQuery),
        (("put", "/api/v1/vpn-policies/{policy_id}"), deployments.RemovalQuery),
        (("delete", "/api/v1/vpn-policies/{policy_id}"), deployments.RemovalQuery),
        (("get", "/api/v1/deployments"), deployments.DeploymentsQuery),
    ],
)
def test_query_parameters_are_those_of_the_contract(operation: Operation, schema: type[Schema]) -> None:
    written = [resolved(parameter) for parameter in operations()[operation].get("parameters", [])]
    read = schema().fields

    assert {each["name"] for each in written if each["in"] == "query"} == set(read)
    for each in written:
        field = read.get(each["name"])
        words = resolved(each["schema"]).get("enum")
        if isinstance(field, fields.Enum) and words:
            allowed = field.validators[0].choices if field.validators else list(field.enum)
            assert words == [str(word) for word in allowed]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("IdentityType", IdentityType),
        ("OnConflict", OnConflict),
        ("RequestState", RequestState),
        ("CertificateState", CertificateState),
        ("Scope", Scope),
        ("Role", Role),
        ("ReleaseFormat", ReleaseFormat),
        ("Encryption", Encryption),
        ("DeploymentState", DeploymentState),
        ("FileKind", FileKind),
    ],
)
def test_words_are_those_of_the_code(name: str, words: Any) -> None:
    assert component(name)["enum"] == [str(word) for word in words]


def test_words_inside_items_and_certificates_are_those_of_the_code() -> None:
    item = component("Item")["properties"]

    assert item["outcome"]["enum"] == [*map(str, Outcome), None]
    assert item["found"]["enum"] == [*map(str, FileKind), None]
    assert item["warnings"]["items"]["enum"] == [*map(str, WarningCode)]
    assert component("Certificate")["properties"]["key_type"]["enum"] == [*map(str, KeyType)]
    assert component("Worker")["properties"]["state"]["enum"] == [*map(str, WorkerState)]


# --- the JSON form of a VPN policy, which has no marshmallow schema ---

PARTS: list[tuple[str, type[Part]]] = [
    ("VpnPolicy", VpnPolicy),
    ("Tunnel", Tunnel),
    ("SecurityAssociation", SecurityAssociation),
    ("Dns", Dns),
    ("ServiceExceptions", ServiceExceptions),
    ("ApplicationException", ApplicationException),
    ("CaptivePortal", CaptivePortal),
    ("OnDemand", OnDemand),
    ("OnDemandRule", OnDemandRule),
    ("Evaluation", Evaluation),
    ("Routing", Routing),
    ("ProfileTexts", ProfileTexts),
]


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_a_part_of_a_policy_has_the_members_of_the_contract_and_no_other(name: str, part: type[Part]) -> None:
    written, members = component(name), members_of(part)

    assert written["additionalProperties"] is False
    assert set(written["properties"]) == {member.name for member in members}
    assert set(written.get("required", ())) == {member.name for member in members if member.is_required}


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_a_member_of_a_policy_takes_what_the_contract_says(name: str, part: type[Part]) -> None:
    for member in members_of(part):
        node = component(name)["properties"][member.name]
        written = {**resolved(node), **node}
        place, may_be_null = f"{name}.{member.name}", member.default is None
        assert (
            "null" in str(written.get("type")) or {"type": "null"} in written.get("oneOf", ())
        ) == may_be_null
        if "default" in written:
            assert written["default"] == member.kind.write(member.default), place
        match member.kind:
            case OneOf(names):
                assert written["enum"] == [*map(str, names), *([None] if may_be_null else [])], place
            case Among(numbers):
                assert written["enum"] == [*numbers], place
            case Whole(least, most):
                assert (written["minimum"], written["maximum"]) == (least, most), place
            case Text(_, longest, shortest):
                assert (written["minLength"], written["maxLength"]) == (shortest, longest), place
            case Many(kind, least, most):
                assert (written.get("minItems", 0), written["maxItems"]) == (least, most), place
                assert not isinstance(kind, OneOf) or written["items"]["enum"] == [*map(str, kind.names)], (
                    place
                )
            case Flag():
                assert "boolean" in written["type"], place


def test_the_form_of_a_grant_has_the_members_of_the_contract_and_others_are_ignored() -> None:
    written = component("ClientCredentials")

    assert set(written["properties"]) == set(access.ClientCredentials().fields)
    assert "additionalProperties" not in written  # RFC 6749 §3.2


def test_bounds_are_those_of_the_code() -> None:
    overlap = component("Rotation")["properties"]["overlap_seconds"]

    assert overlap["maximum"] == access.LONGEST_OVERLAP_SECONDS
    assert overlap["default"] == access.DEFAULT_OVERLAP_SECONDS
    assert component("NewClient")["properties"]["scopes"]["maxItems"] == len(Scope)
    lease, most = component("LeaseSeconds"), component("LeaseOrder")["properties"]["max"]
    assert (lease["minimum"], lease["maximum"]) == deployments.LEASE_SECONDS
    assert lease["default"] == deployments.DEFAULT_LEASE_SECONDS
    assert (most["maximum"], most["default"]) == (
        deployments.MOST_LEASED,
        deployments.DEFAULT_LEASED,
    )
    details = component("DeploymentReport")["properties"]["detail"]
    assert details["maxLength"] == deployments.LONGEST_DETAIL
    listed = component("CitrixDeviceQuery")["properties"]["limit"]
    assert listed["maximum"] == MOST_LISTED


@pytest.mark.parametrize(
    ("response", "status"),
    [
        ("Malformed", 400),
        ("Unauthenticated", 401),
        ("InsufficientScope", 403),
        ("NotFound", 404),
        ("NotAcceptable", 406),
        ("Conflict", 409),
        ("Gone", 410),
        ("TooLarge", 413),
        ("WrongContentType", 415),
        ("Unusable", 422),
        ("TooManyRequests", 429),
        ("Fault", 500),
    ],
)
def test_every_code_stands_beside_its_status(response: str, status: int) -> None:
    statuses = {status} if status < 500 else {500, 503, 507}
    description = document()["components"]["responses"][response]["description"]

    for refusal, given in problems.STATUS.items():
        reaches_v1 = refusal not in {errors.StillRunning, errors.ItemRefusal, errors.NotFit}
        if given in statuses and reaches_v1:
            assert f"`{refusal.code}`" in description


# --- examples ---


def bodies() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every body of a request or an answer: where it stands, its media type, and what is written of it."""
    for (method, path), operation in operations().items():
        request = resolved(operation["requestBody"]) if "requestBody" in operation else {}
        parts = {"request": request} | {str(s): resolved(r) for s, r in operation["responses"].items()}
        for part, written in parts.items():
            for media_type, body in written.get("content", {}).items():
                yield f"{method} {path} {part}", media_type, body


def test_every_body_has_an_example_that_its_schema_allows() -> None:
    for place, media_type, body in bodies():
        assert body.get("examples"), (place, media_type)
        for example in body["examples"].values():
            check_body(resolved(example)["value"], body["schema"])


def test_an_example_of_an_answer_has_no_member_that_the_schema_does_not_name() -> None:
    for place, _, body in bodies():
        schema = resolved(body["schema"])
        parts = [resolved(part) for part in schema.get("allOf", [schema])]
        named = {name for part in parts for name in part.get("properties", {})}
        if not named or any("additionalProperties" in part for part in parts):
            continue
        for example in body["examples"].values():
            assert set(resolved(example)["value"]) <= named, place


def test_an_example_of_a_refusal_is_one_of_its_code_and_status() -> None:
    kinds = {kind.code: kind for kind in problems.STATUS if "code" in vars(kind)}
    kinds |= {
        kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and "code" in vars(kind)
    }
    for place, media_type, body in bodies():
        for example in body["examples"].values():
            value = resolved(example)["value"]
            if media_type == "application/problem+json":
                assert value["remedy"] in remedies_of(kinds[value["code"]]), place
                assert (
                    next(
                        problems.STATUS[each]
                        for each in kinds[value["code"]].__mro__
                        if each in problems.STATUS
                    )
                    == value["status"]
                ), place
                assert place.endswith((str(value["status"]), f"{str(value['status'])[0]}XX")), place


def remedies_of(kind: type[errors.Refusal]) -> set[str]:
    return {kind.remedy} | {each.remedy for each in kind.__subclasses__()}


def test_no_example_is_left_over() -> None:
    used = {
        example["$ref"]
        for _, _, body in bodies()
        for example in body["examples"].values()
        if "$ref" in example
    }

    assert used == {f"#/components/examples/{name}" for name in document()["components"]["examples"]}
