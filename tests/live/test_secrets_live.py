"""Promise P9: what is secret in a bundle is nowhere to be found, whatever becomes of the bundle.

One run sends canary passwords and keys through both APIs, good and bad, kills a worker on the way, and looks at
files, processes, log and answers meanwhile. That the searching finds something is shown at the end, on canaries
that are planted.
"""

import base64
import dataclasses
import itertools
import json
import os
import re
import secrets
import signal
import string
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.api.contract import document
from tests.builders import DAY, NOW, a_certificate, a_credentials_file, a_pkcs12, a_zip
from tests.live.canaries import Marker, Searcher, Watch, files_below
from tests.live.service import LIVE, LiveService, wait_until

pytestmark = LIVE

DOOR_ONE = "/xenmobile/api/v1"
SERIALS = {"identityType": "SERIAL_NUMBER"}


def a_marker() -> Marker:
    return Marker("".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(14)))


def der_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Bundles:
    """Makes bundles of canaries, stored without compression: were it not for encryption, all would be seen."""

    def __init__(self, marker: Marker) -> None:
        self.marker = marker
        self.rsa_keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
        self.passwords: list[str] = []
        self._numbers = itertools.count()

    def password(self) -> str:
        self.passwords.append(self.marker.password())
        return self.passwords[-1]

    def name(self) -> str:
        return f"CANARY{next(self._numbers):06}"

    def good(self, count: int, plain: int = 0, rsa_keys: bool = False) -> bytes:
        """`count` devices with canaries, among `plain` others that give the workers something to do."""
        keys = self.rsa_keys if rsa_keys else []
        passwords = {self.name(): self.password() for _ in range(count)}
        entries = {
            f"{name}.p12": a_pkcs12(name, password, key=key or self.marker.ec_key())
            for (name, password), key in itertools.zip_longest(passwords.items(), keys)
        }
        others = {self.name(): "password1!" for _ in range(plain)}
        entries |= {f"{name}.p12": a_pkcs12(name, password) for name, password in others.items()}
        # Foreign and secret; and more than a block of the spool, so that some of it reaches the disk.
        entries["old passwords.csv"] = "\n".join(passwords.values()).encode() * 3000
        entries["credential.txt"] = a_credentials_file(others | passwords)
        return a_zip(entries, zipfile.ZIP_STORED)

    def bad(self) -> tuple[bytes, dict[str, str]]:
        """One device for each way to fail with a password or a key in hand; and the codes they must get."""
        key = self.marker.ec_key()
        unusable = ec.derive_private_key(key.private_numbers().private_value, ec.SECP256K1())
        expired = a_certificate(key, not_after=NOW - DAY)
        made: dict[str, Callable[[str, str], bytes]] = {
            "wrong_password": lambda name, _: a_pkcs12(name, self.password(), key=self.marker.ec_key()),
            "malformed_pkcs12": lambda name, right: a_pkcs12(name, right, key=self.marker.ec_key())[:-30],
            "expired": lambda name, right: a_pkcs12(name, right, key=key, certificate=expired),
            "unsupported_algorithm": lambda name, right: a_pkcs12(name, right, key=unusable),
        }
        codes = {self.name(): code for code in made}
        passwords = {name: self.password() for name in codes}
        entries = {f"{name}.p12": made[code](name, passwords[name]) for name, code in codes.items()}
        no_entry, no_line = self.name(), self.name()
        passwords[no_entry] = self.password()
        entries[f"{no_line}.p12"] = a_pkcs12(no_line, self.password(), key=self.marker.ec_key())
        entries["credential.txt"] = a_credentials_file(passwords)
        return a_zip(entries, zipfile.ZIP_STORED), codes | {no_entry: "no_pkcs12", no_line: "no_credential"}

    def tricky(self) -> bytes:
        """Lines that are read in two ways, or in none."""
        lines = [
            "{name}.p12={password}\0{password}",
            "{name}.p12=\0{password}",
            "{name}.p12={password}\r{password}",
            "{name}.p12={password}\r\r\n",
            "{name}.p12={password}\r\n={password}",
            "{name}.p12={password}\r\nSet-Cookie: {password}",
            "{name}.p12={password}\r\n {password}",
            "{name}.p12=\r\n{password}",
            "{name}.p12 {password}",
            "{name}.p12: {password}",
            "{name}.p12=={password}= ",
            "{name}.p12={password}\u2028{password}",
            "{name}={password}\t\v\f",
            "{name}.p12=" + "{password}" * 200,
        ]
        entries: dict[str, bytes] = {}
        written = []
        for line in lines:
            name, password = self.name(), self.password()
            entries[f"{name}.p12"] = a_pkcs12(name, password, key=self.marker.ec_key())
            written.append(line.format(name=name, password=password))
        entries["credential.txt"] = "\r\n".join(written).encode()
        return a_zip(entries, zipfile.ZIP_STORED)


class Talker:
    """Talks to both APIs, and keeps every answer."""

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.answers: list[tuple[str, bytes]] = []
        self.http = service.client(service.token)
        self.http.headers["Auth_token"] = service.token
        self.http.hooks["response"].append(self._keep)

    def _keep(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        head = "\r\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        place = f"{answer.request.method} {answer.request.path_url.partition('?')[0]}: {answer.status_code}"
        self.answers.append((place, f"{answer.reason}\r\n{head}\r\n\r\n".encode() + answer.content))

    def call(self, method: str, path: str, **rest: Any) -> requests.Response:
        return self.http.request(method, self.service.base_url + path, timeout=120, **rest)

    def upload(self, bundle: bytes, prefer: str = "wait=60", **fields: str) -> requests.Response:
        return self.call(
            "POST", "/api/v1/imports", headers={"Prefer": prefer},
            data={"identity_type": "SERIAL_NUMBER", **fields}, files={"bundle": ("bundle.zip", bundle)},
        )  # fmt: skip

    def upload_slowly(self, bundle: bytes) -> requests.Response:
        """In chunks, so that the spool is there to be looked at."""

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(bundle), 128 * 1024):
                yield bundle[start : start + 128 * 1024]
                time.sleep(0.1)

        return self.call(
            "POST", "/api/v1/imports?identity_type=SERIAL_NUMBER", data=pieces(),
            headers={"Content-Type": "application/zip", "Prefer": "wait=60"},
        )  # fmt: skip

    def citrix(self, what: str, file: bytes, fields: Mapping[str, str]) -> requests.Response:
        path = f"{DOOR_ONE}/certificates/{what}/keystore/device"
        return self.call("POST", path, data=fields, files={"uploadFile": ("bundle.zip", file)})

    def citrix_import(self, bundle: bytes) -> requests.Response:
        return self.citrix("import", bundle, {"certImportData": json.dumps(SERIALS)})

    def finished(self, import_id: str) -> dict[str, Any]:
        path = f"/api/v1/imports/{import_id}"
        wait_until(lambda: self.call("GET", path).json()["finished_at"], 120)
        return dict(self.call("GET", path).json())

    def codes(self, import_id: str) -> dict[str, str]:
        items = self.call("GET", f"/api/v1/imports/{import_id}/items?limit=1000").json()["items"]
        return {item["identity"]: item["code"] or item["outcome"] for item in items}


def a_searcher(bundles: Bundles) -> Searcher:
    numbers = [key.private_numbers() for key in bundles.rsa_keys]
    primes = [prime.to_bytes(128) for each in numbers for prime in (each.p, each.q)]
    return Searcher(bundles.marker, [*primes, *(each.d.to_bytes(256) for each in numbers)])


@dataclasses.dataclass
class Aftermath:
    """What is left of the run, and what was seen during it."""

    bundles: Bundles
    searcher: Searcher
    place: Path
    watch: Watch
    answers: list[tuple[str, bytes]]
    counts: dict[str, dict[str, int]]
    codes: dict[str, str]
    expected_codes: dict[str, str]
    core_limits: set[str]


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    place = tmp_path_factory.mktemp("secrets")
    temporary = place / "tmp"
    temporary.mkdir()
    bundles = Bundles(a_marker())
    searcher = a_searcher(bundles)
    settings = {"TMPDIR": str(temporary), "BULKCERT_LOG_LEVEL": "debug"}
    with LiveService(place / "data", settings) as service:
        talker = Talker(service)
        with Watch(searcher, service.pids, place) as watch:
            counts, expected_codes, codes = send_all(talker, bundles)
            say_canaries_everywhere(talker, bundles)
            release_one(talker, bundles)
            read_everything(talker)
            core_limits = {core_limit(pid) for pid in service.pids()}
            watch.look()
    return Aftermath(
        bundles, searcher, place, watch, talker.answers, counts, codes, expected_codes, core_limits
    )


def send_all(
    talker: Talker, bundles: Bundles
) -> tuple[dict[str, dict[str, int]], dict[str, str], dict[str, str]]:  # fmt: skip
    slowly = talker.upload_slowly(bundles.good(20, rsa_keys=True)).json()
    in_form = talker.upload(bundles.good(5)).json()
    citrix = talker.citrix_import(bundles.good(10)).json()
    killed = talker.upload(bundles.good(12, plain=200), prefer="respond-async").json()
    os.kill(talker.service.worker_pids[0], signal.SIGKILL)
    assert talker.call("GET", f"/api/v1/imports/{killed['id']}").json()["finished_at"] is None, (
        "killed too late"
    )
    bad, expected_codes = bundles.bad()
    failed = talker.upload(bad).json()
    talker.citrix_import(bad)
    for upload in (talker.upload, talker.citrix_import):
        upload(bundles.tricky())
    counts = {
        "slowly": slowly["counts"],
        "in a form": in_form["counts"],
        "Citrix API": {"created": int(citrix["successCount"])},
        "worker killed": talker.finished(killed["id"])["counts"],
    }
    return counts, expected_codes, talker.codes(failed["id"])


def say_canaries_everywhere(talker: Talker, bundles: Bundles) -> None:
    """Passwords where none belongs: people mix fields up, and scripts mix up quoting.

    Not as the name of a file or of a member: those are shown, so that the fault can be found.
    """
    word = bundles.password
    good = bundles.good(1)
    talker.upload(good, on_conflict=word())
    talker.upload(word().encode())
    talker.upload(good[:-40])
    talker.upload(
        a_zip({"A12BC3D4EFGH.p12": b"x", "credential.txt": f"A12BC3D4EFGH={word()}\xff".encode("latin-1")})
    )
    talker.call("POST", "/api/v1/imports", data={"identity_type": word()}, files={"bundle": ("b.zip", good)})
    for path in ("/api/v1/sessions", f"{DOOR_ONE}/authentication/login"):
        talker.call("POST", path, json={"login": "administrator", "password": word()})
        talker.call("POST", path, json={"login": word(), "password": "x"})
        talker.call("POST", path, json={"login": "administrator", "password": [word()]})
        talker.call("POST", path, json={"login": "administrator", "domain": word()})
        talker.call("POST", path, data=f'{{"login": {word()}', headers={"Content-Type": "application/json"})
    grant = {"grant_type": "client_credentials"}
    talker.call("POST", "/api/v1/token", data=grant, auth=("client", word()))
    talker.call("POST", "/api/v1/token", data=grant, headers={"Authorization": f"Basic {word()}"})
    in_form = grant | {"client_id": word(), "client_secret": word(), "scope": word()}
    talker.call("POST", "/api/v1/token", data=in_form, headers={"Authorization": None})
    talker.call("POST", "/api/v1/token", data={"grant_type": word()}, headers={"Authorization": None})
    talker.call("POST", "/api/v1/token/revoke", data={"token": word(), "token_type_hint": word()})
    talker.call("GET", "/api/v1/limits", headers={"Authorization": f"Bearer {word()}"})
    talker.call("GET", f"{DOOR_ONE}/certificates", headers={"Auth_token": word()})
    for name in ("password", "limit", "cursor", "state"):
        talker.call("GET", f"/api/v1/certificates?{name}={word()}")
    talker.call("POST", "/api/v1/users", json={"login": "canary", "role": "auditor", "password": word()})
    talker.call("POST", "/api/v1/users/canary/password", json={"password": word()})
    talker.call("POST", "/api/v1/users", json={"login": "another", "role": word(), "password": word()})
    talker.call("POST", "/api/v1/password", json={"current": word(), "new": word()})
    for part, path in (("certImportData", "import"), ("certRemoveData", "remove")):
        for written in (json.dumps({"identityType": word()}), word(), f'{{"identityType": "{word()}'):
            talker.citrix(path, good, {part: written})


def release_one(talker: Talker, bundles: Bundles) -> None:
    """What is released is for the caller alone; its content is encrypted, and its password is left out here."""
    [first] = talker.call("GET", "/api/v1/certificates?limit=1").json()["items"]
    path = f"/api/v1/certificates/{first['id']}/release"
    for order in (
        {"format": "pem"},
        {"format": "pkcs12", "encryption": "apple_legacy"},
        {"format": "pkcs12"},
    ):
        talker.call("POST", path, json={"format": bundles.password(), "password": bundles.password()})
        talker.call("POST", path, json=order | {"password": bundles.password() + "\0"})
        answer = talker.call("POST", path, json=order | {"password": bundles.password()})
        assert answer.status_code == 200, answer.text
        place, _ = talker.answers.pop()
        shown = {name: value for name, value in answer.json().items() if name != "password"}
        talker.answers.append((place, json.dumps(shown).encode() + base64.b64decode(shown["content"])))


def read_everything(talker: Talker) -> None:
    """Every GET of the contract, in every form, for every import there is."""
    found = {
        "import_id": [each["id"] for each in talker.call("GET", "/api/v1/imports").json()["items"]],
        "certificate_id": [each["id"] for each in talker.call("GET", "/api/v1/certificates").json()["items"]],
    }
    for path, operations in document()["paths"].items():
        names = re.findall(r"{(\w+)}", path)
        if "get" not in operations or not set(names) <= set(found):
            continue
        for values in itertools.product(*(found[name] for name in names)):
            filled = path.format(**dict(zip(names, values, strict=True)))
            for accepted in ("*/*", "text/csv", "application/x-ndjson"):
                talker.call("GET", filled, headers={"Accept": accepted})


def core_limit(pid: int) -> str:
    limits = Path(f"/proc/{pid}/limits").read_text()
    return " ".join(re.findall(r"Max core file size\s+(\S+)\s+(\S+)", limits)[0])


# --- nowhere ------------------------------------------------------------------------------------------


def searched(content: bytes, evidence: Aftermath) -> set[str]:
    return evidence.searcher.found_in(content)


def test_the_run_did_what_it_claims(aftermath: Aftermath) -> None:
    assert len(aftermath.bundles.passwords) > 100
    assert {name: counts["created"] for name, counts in aftermath.counts.items()} == {
        "slowly": 20, "in a form": 5, "Citrix API": 10, "worker killed": 212,
    }  # fmt: skip
    assert {name: aftermath.codes[name] for name in aftermath.expected_codes} == aftermath.expected_codes
    assert all(aftermath.watch.looked[kind] > 10 for kind in ("command lines", "environments", "files"))
    assert aftermath.watch.looked["unnamed files"] > 0, "no spool was seen"


def test_no_canary_was_in_a_file_or_process_while_it_ran(aftermath: Aftermath) -> None:
    assert aftermath.watch.found == set()


def test_no_canary_lies_in_a_file_afterwards(aftermath: Aftermath) -> None:
    """Database, write-ahead log, spool folder, temporary folder, log."""
    files = {path.name: path for path in files_below(aftermath.place)}

    assert {"bulkcert.sqlite3", "data.log"} <= set(files)
    assert {
        name: found for name, path in files.items() if (found := searched(path.read_bytes(), aftermath))
    } == {}


def test_no_canary_is_in_an_answer(aftermath: Aftermath) -> None:
    assert len(aftermath.answers) > 100
    assert [
        (place, found) for place, answer in aftermath.answers if (found := searched(answer, aftermath))
    ] == []


def test_no_process_may_leave_a_core_dump(aftermath: Aftermath) -> None:
    assert aftermath.core_limits == {"0 0"}


# --- and would be found -------------------------------------------------------------------------------


def written_forms(secret: bytes) -> dict[str, bytes]:
    """Ways in which programs write octets, made without the searcher's own tables."""
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(secret) + b"-----END PRIVATE KEY-----\n"
    return {
        "as it is": secret,
        "in a sentence": b"the password " + secret + b" is wrong",
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "hex of openssl": secret.hex(":").encode(),
        "base64": base64.b64encode(secret),
        "base64 behind one octet": base64.b64encode(b"x" + secret + b"yz"),
        "base64 behind two octets": base64.b64encode(b"xy" + secret + b"z"),
        "base64 for URLs": base64.urlsafe_b64encode(secret),
        "PEM": pem,
        "PEM within JSON": json.dumps({"key": pem.decode()}).encode(),
        "repr of bytes": repr(secret).encode(),
        "repr of a list": repr(list(secret)).encode(),
        "JSON without spaces": json.dumps(list(secret), separators=(",", ":")).encode(),
        "lines of hex": "\r\n".join(textwrap.wrap(secret.hex(), 60)).encode(),
    }


SECRETS: dict[str, Callable[[Bundles], bytes]] = {
    "a password": lambda bundles: bundles.password().encode(),
    "a password with a NUL": lambda bundles: f"{bundles.marker.text}\0{bundles.password()}".encode(),
    "a password in a PKCS#12": lambda bundles: bundles.password().encode("utf-16-be"),
    "a password in a file of Windows": lambda bundles: bundles.password().encode("utf-16-le"),
    "an EC key as PKCS#8": lambda bundles: der_of(bundles.marker.ec_key()),
    "the octets of an EC key": lambda bundles: private_value(bundles).to_bytes(32),
    "an RSA key as PKCS#8": lambda bundles: der_of(bundles.rsa_keys[1]),
    "a prime of an RSA key": lambda bundles: bundles.rsa_keys[0].private_numbers().q.to_bytes(128),
}
HIDING_PLACES = {
    "command line": "import time; time.sleep(60)",
    "environment": "import time; time.sleep(60)",
    "open file": "import sys, tempfile, time; file = tempfile.TemporaryFile(dir=sys.argv[2], buffering=0);"
    "file.write(open(sys.argv[3], 'rb').read()); print(flush=True); time.sleep(60)",
}


def private_value(bundles: Bundles) -> int:
    return bundles.marker.ec_key().private_numbers().private_value


@pytest.fixture(scope="module")
def planted() -> tuple[Bundles, Searcher]:
    bundles = Bundles(a_marker())
    return bundles, a_searcher(bundles)


@pytest.mark.parametrize("make", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("form", written_forms(b"x"))
def test_a_canary_is_found_in_every_form(
    planted: tuple[Bundles, Searcher], make: Callable[[Bundles], bytes], form: str
) -> None:
    bundles, searcher = planted
    written = b"..." + written_forms(make(bundles))[form] + b"..."

    assert searcher.found_in(written)
    assert not a_searcher(Bundles(a_marker())).found_in(written)


def test_a_private_value_in_decimal_is_found(planted: tuple[Bundles, Searcher]) -> None:
    bundles, searcher = planted

    assert all(searcher.found_in(str(private_value(bundles)).encode()) for _ in range(100))


def test_a_canary_in_a_file_is_found(planted: tuple[Bundles, Searcher], tmp_path: Path) -> None:
    bundles, searcher = planted
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "deep" / "down" / "wal").write_bytes(bytes(100_000) + bundles.password().encode())
    watch = Watch(searcher, list, tmp_path)
    watch.look()

    assert {place for _, place in watch.found} == {str(tmp_path / "deep" / "down" / "wal")}


@pytest.mark.parametrize(("kind", "program"), HIDING_PLACES.items(), ids=HIDING_PLACES)
def test_a_canary_in_a_process_is_found(
    planted: tuple[Bundles, Searcher], tmp_path: Path, kind: str, program: str
) -> None:
    bundles, searcher = planted
    canary = bundles.password()
    hidden, empty = tmp_path / "hidden", tmp_path / "empty"
    hidden.write_text(canary)
    empty.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", program, canary if kind == "command line" else "", tmp_path, hidden],
        env=os.environ | ({"CANARY": canary} if kind == "environment" else {}),
        stdout=subprocess.PIPE,
    )
    try:
        if kind == "open file":
            assert process.stdout
            process.stdout.readline()
        with Watch(searcher, lambda: [process.pid], empty) as watch:
            wait_until(lambda: bool(watch.found))
    finally:
        process.kill()
        process.communicate()

    assert {place.partition("/")[0].split(" of ")[0].strip() for _, place in watch.found} == {kind}
