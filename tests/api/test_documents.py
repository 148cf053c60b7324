"""What anybody may read without a token: where things are, the contract, and the page of problem codes."""

import re
from html.parser import HTMLParser

import pytest
import yaml
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from bulkcert import errors
from bulkcert.api import markdown
from bulkcert.wiring.service import Service
from tests.api.conftest import NewService, a_client, an_app
from tests.paths import ROOT

DOCUMENTS = ["/openapi.json", "/openapi.yaml", "/problems"]


@pytest.fixture(scope="module")
def service(new_service: NewService) -> Service:
    return new_service()


@pytest.fixture(scope="module")
def app(service: Service) -> Flask:
    return an_app(service)


class Page(HTMLParser):
    """The tags of a page, and its text below each id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: dict[str, str] = {}
        self._id = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._id = dict(attributes).get("id") or self._id

    def handle_data(self, data: str) -> None:
        self.texts[self._id] = self.texts.get(self._id, "") + data


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/"])
def test_a_place_leads_to_places_that_are_there(client: Client, path: str) -> None:
    places = client.get(path).json

    assert places is not None
    for name, place in places.items():
        if place.startswith("/") and not place.startswith("/xenmobile"):
            assert client.open(place, method="GET").status_code in {200, 401, 405}, name
    assert places["contract"] == "/openapi.json"


def test_the_api_names_its_collections_and_where_to_log_in(client: Client) -> None:
    places = client.get("/api/v1").json

    assert places is not None
    assert places["log_in"] == "/api/v1/sessions"
    assert places["token"] == "/api/v1/token"
    assert {"imports", "deletions", "certificates", "vpn_policies", "deployments"} <= set(places)


def test_the_contract_is_served_as_it_is_kept_and_as_json(client: Client) -> None:
    kept = (ROOT / "openapi.yaml").read_bytes()
    answer = client.get("/openapi.json")

    assert client.get("/openapi.yaml").data == kept
    assert client.get("/openapi.yaml").mimetype == "application/yaml"
    assert answer.json == yaml.safe_load(kept)
    assert answer.text.endswith("}\n")


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_not_sent_again_to_whoever_has_it(client: Client, path: str) -> None:
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "max-age=300"
    assert (again.status_code, again.data) == (304, b"")
    assert client.head(path).status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/xml"])
@pytest.mark.parametrize("path", ["/", "/api/v1", *DOCUMENTS])
def test_a_document_is_for_every_client(client: Client, path: str, accept: str) -> None:
    assert client.get(path, headers={"Accept": accept}).status_code == 200


def test_a_document_is_made_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in DOCUMENTS:
        client.get(path)
    monkeypatch.setattr(yaml, "load", None)
    monkeypatch.setattr(markdown, "render", None)

    assert [client.get(path).status_code for path in DOCUMENTS] == [200, 200, 200]


def test_the_type_of_a_problem_leads_to_its_text(client: Client) -> None:
    problem = client.get("/api/v1/imports").json
    assert problem is not None
    path, _, anchor = problem["type"].partition("#")
    text = Page(client.get(path).text).texts[anchor]

    assert problem["remedy"] in " ".join(text.split())


def test_every_code_has_an_anchor_of_its_own(client: Client) -> None:
    page = Page(client.get("/problems").text)
    codes = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and "code" in vars(kind)}

    assert codes <= set(page.texts)
    assert all("What to do:" in page.texts[code] for code in codes)


def test_the_page_holds_nothing_that_acts_and_may_load_nothing(client: Client) -> None:
    answer = client.get("/problems")

    assert Page(answer.text).tags <= {
        "html",
        "head",
        "meta",
        "title",
        "body",
        "h1",
        "h2",
        "h3",
        "p",
        "code",
        "ul",
        "li",
        "table",
        "tr",
        "td",
    }
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.content_type == "text/html; charset=utf-8"


def test_headings_and_tables_stand_for_themselves() -> None:
    html = markdown.render("| a | `<b>` |\n|---|---|\n| c | d |\n### `code`\ntext")

    assert html == (
        "<table><tr><td>a</td><td><code>&lt;b&gt;</code></td></tr><tr><td>c</td><td>d</td></tr></table>\n"
        '<h3 id="code"><code>code</code></h3>\n<p>text</p>'
    )


@given(st.text() | st.text(alphabet="#`-|[]()<>&\"' \nab"))
def test_no_text_becomes_another_tag_than_these(text: str) -> None:
    html = markdown.render(text)

    assert set(re.findall(r"<(/?\w+)", html)) <= {
        f"{end}{tag}"
        for tag in ("h1", "h2", "h3", "p", "ul", "li", "table", "tr", "td", "code")
        for end in ("", "/")
    }
    assert not re.search(r'<(?!/?(?:h[123]|p|ul|li|table|tr|td|code)(?: id="[a-z0-9_-]*")?>)', html)


# --- the metadata of the authorization server (RFC 8414) ---

METADATA = "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_the_metadata_is_absent_where_the_address_is_not_set(client: Client, host: str) -> None:
    answer = client.get(METADATA, headers={"Host": host})

    assert answer.status_code == 404
    assert "BULKCERT_PUBLIC_URL" in answer.text
    assert "evil" not in answer.text


def test_the_metadata_goes_by_the_setting_and_not_by_the_request(new_service: NewService) -> None:
    client = a_client(an_app(new_service(public_url="https://vpn.example.com:4443")))
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    metadata = client.get(METADATA, headers=headers).json

    assert metadata is not None
    assert metadata["issuer"] == "https://vpn.example.com:4443"
    assert metadata["token_endpoint"] == "https://vpn.example.com:4443/api/v1/token"
    assert metadata["revocation_endpoint"] == "https://vpn.example.com:4443/api/v1/token/revoke"
    assert metadata["grant_types_supported"] == ["client_credentials"]
    assert metadata["response_types_supported"] == []
    assert "imports:write" in metadata["scopes_supported"]
