"""`bulkcert user`, `client` and `session` on a local database."""

import json
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bulkcert.cli import main
from bulkcert.config import Config
from bulkcert.errors import WrongCredentials
from bulkcert.values.events import Event
from bulkcert.values.principals import Role, Scope
from bulkcert.values.secret import Secret
from bulkcert.wiring.initialisation import initialise
from bulkcert.wiring.service import Service, connect

GIVEN = "correct horse battery"
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("accounts") / "data"
    initialise(Config.from_environment({"BULKCERT_DATA_DIR": str(directory)}), Secret(GIVEN.encode()))
    return directory


@pytest.fixture
def data_dir(initialised: Path, tmp_path: Path) -> Path:
    return shutil.copytree(initialised, tmp_path / "data")


@pytest.fixture
def run(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("bulkcert.cli.memory.protect", lambda: False)

    def run(*arguments: str, typed: str | bytes | None = None) -> Result:
        mask = os.umask(0o022)
        try:
            return CliRunner(env={"BULKCERT_DATA_DIR": str(data_dir)}).invoke(main, arguments, input=typed)
        finally:
            os.umask(mask)

    return run


@pytest.fixture
def service(data_dir: Path) -> Iterator[Service]:
    service = connect(Config.from_environment({"BULKCERT_DATA_DIR": str(data_dir)}))
    yield service
    service.close()


def newest(service: Service) -> Event:
    with service.store.reading() as tx:
        return tx.events.list(newest=1)[0]


def opens(service: Service, login: str, password: str) -> bool:
    try:
        service.access.log_in(login, Secret(password.encode()), "192.0.2.1")
    except WrongCredentials:
        return False
    return True


def after(label: str, done: Result) -> str:
    [line] = [line for line in done.output.splitlines() if line.startswith(label)]
    return line.removeprefix(label)


@pytest.mark.slow
def test_a_user_gets_a_password_that_is_printed_once(run: Run, service: Service) -> None:
    done = run("user", "create", "olga", "--role", "operator")

    assert done.exit_code == 0, done.output
    assert opens(service, "olga", after("password (shown once): ", done))
    listing = run("user", "list")
    assert listing.output == "administrator\towner\tenabled\nolga\toperator\tenabled\n"


def test_events_name_the_user_of_the_machine(run: Run, service: Service) -> None:
    run("user", "create", "olga", "--role", "operator")

    assert newest(service).actor == "cli:" + pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
@pytest.mark.parametrize("way", ["stdin", "file"])
def test_a_password_is_read_without_its_line_break_and_not_printed(
    run: Run, service: Service, tmp_path: Path, way: str, ending: str
) -> None:
    (tmp_path / "password").write_text(GIVEN + ending, newline="")
    options = ["--password-stdin"] if way == "stdin" else ["--password-file", str(tmp_path / "password")]
    done = run("user", "create", "olga", "--role", "operator", *options, typed=(GIVEN + ending).encode())

    assert done.exit_code == 0, done.output
    assert GIVEN not in done.output
    assert opens(service, "olga", GIVEN)


def test_a_password_is_asked_for_twice_and_not_shown(run: Run, service: Service) -> None:
    done = run(
        "user", "password", "administrator", "--password-prompt", typed="another horse 1\nanother horse 1\n"
    )

    assert done.exit_code == 0, done.output
    assert "another horse 1" not in done.output
    assert opens(service, "administrator", "another horse 1")


def test_no_password_is_taken_from_arguments(run: Run) -> None:
    for words in (["--password", GIVEN], [GIVEN]):
        assert run("user", "password", "administrator", *words).exit_code == 2


def test_two_sources_of_a_password_are_one_too_many(run: Run) -> None:
    assert run("user", "password", "administrator", "--password-stdin", "--password-prompt").exit_code == 2


@pytest.mark.parametrize("given", [b"short", b"", b"\xff" * 12, b"x" * 9000])
def test_a_password_that_does_not_do_is_refused_and_not_shown(
    run: Run, service: Service, given: bytes
) -> None:
    done = run("user", "password", "administrator", "--password-stdin", typed=given)

    assert done.exit_code in {1, 2}
    assert given == b"" or given.decode(errors="replace") not in done.output
    assert opens(service, "administrator", GIVEN)


def test_a_new_password_is_generated_where_none_is_given(run: Run, service: Service) -> None:
    done = run("user", "password", "administrator")

    assert opens(service, "administrator", after("password (shown once): ", done))
    assert not opens(service, "administrator", GIVEN)


def test_users_are_disabled_and_change_roles_but_for_the_last_owner(run: Run, service: Service) -> None:
    run("user", "create", "olga", "--role", "operator")

    assert run("user", "role", "olga", "auditor").output == "olga: auditor\n"
    assert run("user", "disable", "olga").output == "olga: disabled\n"
    assert "olga\tauditor\tdisabled" in run("user", "list").output
    refused = run("user", "disable", "administrator")
    assert (refused.exit_code, "last user with the role owner" in refused.output) == (1, True)
    assert run("user", "disable", "nobody").exit_code == 1
    assert [each.role for each in service.accounts.users(10, None).items] == [Role.OWNER, Role.AUDITOR]


def enters(service: Service, client_id: str, secret: str) -> frozenset[Scope] | None:
    try:
        return service.access.log_in_client(client_id, Secret(secret.encode()), None, "192.0.2.1").scopes
    except WrongCredentials:
        return None


def test_a_client_is_made_for_scripts(run: Run, service: Service) -> None:
    done = run("client", "create", "CA", "--scope", "imports:write", "--scope", "imports:read", "--json")
    made = json.loads(done.output)

    assert made["scopes"] == ["imports:read", "imports:write"]
    assert enters(service, made["client_id"], made["client_secret"]) == {
        Scope.IMPORTS_READ,
        Scope.IMPORTS_WRITE,
    }


def test_a_client_is_made_for_people(run: Run, service: Service) -> None:
    done = run("client", "create", "CA", "--scope", "imports:read")
    client_id, secret = after("client_id: ", done), after("client_secret: ", done)
    listing = run("client", "list").output

    assert enters(service, client_id, secret)
    assert done.stdout == f"client_id: {client_id}\nclient_secret: {secret}\n"  # a script may read it
    assert "not shown again" in done.stderr
    assert listing == f"{client_id}\tCA\timports:read\tenabled\n"


@pytest.mark.parametrize(("hours", "still"), [("0", False), ("1", True)])
def test_a_rotation_has_an_overlap(run: Run, service: Service, hours: str, still: bool) -> None:
    made = json.loads(run("client", "create", "CA", "--scope", "imports:read", "--json").output)
    done = run("client", "rotate", made["client_id"], "--overlap-hours", hours, "--json")
    rotated = json.loads(done.output)

    assert enters(service, made["client_id"], rotated["client_secret"])
    assert bool(enters(service, made["client_id"], made["client_secret"])) == still


def test_a_disabled_client_is_out(run: Run, service: Service) -> None:
    made = json.loads(run("client", "create", "CA", "--scope", "imports:read", "--json").output)

    assert run("client", "disable", made["client_id"]).exit_code == 0
    assert enters(service, made["client_id"], made["client_secret"]) is None
    assert run("client", "rotate", made["client_id"]).exit_code == 1
    assert run("client", "list").output.endswith("\tdisabled\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["client", "create", "CA"],
        ["client", "create", "CA", "--scope", "everything"],
        ["client", "rotate", "x", "--overlap-hours", "-1"],
        ["client", "rotate", "x", "--overlap-hours", "721"],
        ["user", "create", "olga"],
        ["user", "create", "olga", "--role", "admin"],
    ],
)
def test_arguments_of_another_form_are_refused(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_sessions_are_listed_and_revoked(run: Run, service: Service) -> None:
    session = service.access.log_in("administrator", Secret(GIVEN.encode()), "192.0.2.1")

    assert run("session", "list").output.startswith(f"{session.token_id}\tadministrator\t")
    assert run("session", "revoke", session.token_id).exit_code == 0
    assert run("session", "list").output == ""
    assert run("session", "revoke", session.token_id).exit_code == 1


def test_lists_go_on_beyond_one_page(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulkcert.cli.local_service._PAGE", 1)
    for number in range(3):
        run("client", "create", f"machine {number}", "--scope", "imports:read")

    assert len(run("client", "list").output.splitlines()) == 3


def test_without_a_database_there_is_nothing_to_do(tmp_path: Path) -> None:
    environment = {"BULKCERT_DATA_DIR": str(tmp_path / "nothing")}
    mask = os.umask(0o022)
    done = CliRunner(env=environment).invoke(main, ["user", "list"])
    os.umask(mask)

    assert (done.exit_code, "BULKCERT_DATA_DIR is set to" in done.output) == (1, True)
    assert not (tmp_path / "nothing").exists()
