"""Opening in a process that may die."""

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkcert.errors import Crashed, ItemRefusal, TooCostly
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.opening import template as template_module
from bulkcert.opening.opener import Opener
from bulkcert.opening.protocol import write_request
from bulkcert.opening.template import ChildDoesNotStart, TemplateEnded, environment
from bulkcert.values.certificates import OpenedCertificate, WarningCode
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import DAY, NOW, PASSWORD, a_certificate, a_pkcs12, an_ec_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.specimens import der, der_of
from tests.formats.pkcs12.test_certificates import ODD, ODD_CA, a_file

GOOD = (a_pkcs12(), Secret(PASSWORD.encode()))
FOREVER = 2**31 - 1
ENDLESS = (forge.pfx(forge.clear_safe(), mac_data=forge.mac_claim(iterations=FOREVER)), Secret(b"any"))
NO_BUDGET = 2**40
"""So many iterations that only the process's own limits are left."""


@pytest.fixture
def make_opener() -> Iterator:
    openers = []

    def make(**limits: int) -> Opener:
        openers.append(Opener(Limits(**limits)))
        return openers[-1]

    yield make
    for opener in openers:
        opener.close()


def outcomes(results) -> list[str]:
    return [result.code if isinstance(result, ItemRefusal) else "opened" for result in results]


def pid_of(opener: Opener) -> int:
    assert opener._child is not None
    return opener._child.pid


@pytest.mark.parametrize(("moment", "expected"), [(NOW, 0), (NOW + 400 * DAY, 1)])
def test_certificates_are_compared_at_the_moment_of_the_caller(moment, expected):
    key = an_ec_key()
    certificates = [a_certificate(key), a_certificate(key, not_before=NOW + DAY, not_after=NOW + 900 * DAY)]
    bags = [forge.certificate_bag(der(each)) for each in certificates]
    content = forge.pfx(forge.clear_safe(forge.key_bag(der_of(key))), forge.clear_safe(*bags))
    opener = Opener(Limits(), lambda: moment)
    [opened] = opener.open_all([(content, Secret(forge.PASSWORD.encode()))])
    opener.close()

    assert isinstance(opened, OpenedCertificate)
    assert opened.leaf.der == der(certificates[expected])
    assert WarningCode.SEVERAL_CERTIFICATES in opened.warnings
    assert "belong to its key" in opened.remarks[0]


def test_a_certificate_that_is_all_names_is_kept_whole_and_shown_in_part(make_opener):
    """As many names as fit into a file of 64 KiB; in a list of a thousand they made 350 MB."""
    key = an_ec_key()
    made = a_certificate(key, "x", dns_names=[f"{number:x}" for number in range(9000)])
    content = a_pkcs12(key=key, certificate=made)
    [opened] = make_opener().open_all([(content, GOOD[1])])

    assert len(content) <= Limits().pkcs12_bytes
    assert opened.leaf.der == der(made)
    assert opened.leaf.facts.names_total == 9000
    assert opened.leaf.facts.subject_alternative_names == tuple(f"{number:x}" for number in range(100))
    assert opened.leaf.facts.is_in_part
    assert len(repr(opened.leaf.facts)) < 24 * 1024


def test_results_come_in_the_order_of_the_files(make_opener):
    wrong = (GOOD[0], Secret(b"wrong"))
    garbage = (b"garbage", Secret(b""))

    found = outcomes(make_opener().open_all([GOOD, wrong, garbage, GOOD]))

    assert found == ["opened", "wrong_password", "not_pkcs12", "opened"]


def test_what_comes_over_the_pipe_is_what_opening_gives(make_opener):
    (opened,) = make_opener().open_all([GOOD])

    assert opened == pkcs12.open(*GOOD)
    assert isinstance(opened, OpenedCertificate)
    assert len(opened.chain) == 1


def test_no_files_need_no_process(make_opener):
    opener = make_opener()

    assert list(opener.open_all([])) == []
    assert opener._child is None


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(ENDLESS[0], id="2^31-1 in the MAC"),
        pytest.param(
            forge.pfx(forge.encrypted_safe(scheme=forge.pbes2(forge.pbkdf2(FOREVER)))), id="2^31-1 in PBKDF2"
        ),
        pytest.param(
            forge.pfx(forge.encrypted_safe(forge.shrouded_bag(b"", forge.pbes2(forge.pbkdf2(FOREVER))))),
            id="2^31-1 in a bag hidden in an encrypted safe",
        ),
    ],
)
def test_an_endless_file_costs_its_own_item_only(make_opener, file):
    found = outcomes(make_opener().open_all([GOOD, (file, Secret(forge.PASSWORD.encode())), GOOD]))

    assert found == ["opened", "too_costly", "opened"]


def test_the_processor_limit_ends_a_file_that_no_budget_stopped(make_opener):
    opener = make_opener(kdf_iterations=NO_BUDGET, opening_cpu_seconds=1, opening_wall_seconds=60)

    started = time.monotonic()
    found = outcomes(opener.open_all([GOOD, ENDLESS, GOOD]))

    assert found == ["opened", "too_costly", "opened"]
    assert time.monotonic() - started < 30


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_processor_limit_is_for_each_file_and_not_for_all_together(make_opener):
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    short = forge.pfx(forge.clear_safe(), mac_data=forge.mac_claim(iterations=100_000))
    opener = make_opener(opening_cpu_seconds=1, opening_wall_seconds=60)
    pids, codes = set(), set()
    while not pids or processor_seconds(*pids) < 3:  # more than the limit and a second of rounding
        codes |= set(outcomes(opener.open_all([(short, Secret(b"any"))] * 10)))
        pids.add(pid_of(opener))

    assert (codes, len(pids)) == ({"wrong_password"}, 1)


def test_the_processor_time_of_children_is_read_from_outside_and_adds_up(make_opener):
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs Linux's clocks of other processes")
    opener = make_opener(kdf_iterations=NO_BUDGET, opening_cpu_seconds=1, opening_wall_seconds=60)
    assert opener.cpu_seconds() == 0.0

    list(opener.open_all([GOOD] * 20, "one import"))
    of_twenty = opener.cpu_seconds()
    assert 0 < of_twenty < 1
    assert of_twenty == pytest.approx(processor_seconds(pid_of(opener)), abs=0.05)
    list(
        opener.open_all([ENDLESS, GOOD], "another import")
    )  # two children, of which one is killed by the limit
    assert of_twenty + 0.9 < opener.cpu_seconds() < of_twenty + 3


def test_the_watchdog_ends_a_file_that_takes_too_long_by_the_clock(make_opener):
    opener = make_opener(kdf_iterations=NO_BUDGET, opening_cpu_seconds=300, opening_wall_seconds=1)

    found = outcomes(opener.open_all([GOOD, ENDLESS, GOOD]))

    assert found == ["opened", "too_costly", "opened"]


def kill_whoever_works(opener: Opener, times: int) -> None:
    """Kill the process that opens files, and those that come after it."""
    killed: set[int] = set()
    while len(killed) < times:
        time.sleep(0.5)
        if opener._child is not None and not opener._child.has_ended and opener._child.pid not in killed:
            killed.add(opener._child.pid)
            os.kill(opener._child.pid, signal.SIGKILL)


def test_a_file_whose_process_is_killed_once_is_opened_by_another(make_opener):
    """The kernel kills for want of memory that others took."""
    slow = forge.pfx(forge.clear_safe(), mac_data=forge.mac_claim(iterations=10_000_000))
    opener = make_opener(kdf_iterations=NO_BUDGET, opening_cpu_seconds=300, opening_wall_seconds=300)
    results = opener.open_all([GOOD, (slow, Secret(b"any")), GOOD])
    next(results)
    killed = pid_of(opener)
    threading.Thread(target=kill_whoever_works, args=(opener, 1)).start()

    assert outcomes(results) == ["wrong_password", "opened"]
    assert pid_of(opener) != killed


def test_a_process_that_is_killed_again_costs_the_file_in_work_only(make_opener):
    opener = make_opener(kdf_iterations=NO_BUDGET, opening_cpu_seconds=300, opening_wall_seconds=300)
    results = opener.open_all([GOOD, ENDLESS, GOOD, GOOD])
    first = next(results)
    killed = pid_of(opener)
    threading.Thread(target=kill_whoever_works, args=(opener, 2)).start()

    second = next(results)

    assert isinstance(first, OpenedCertificate)
    assert isinstance(second, Crashed)
    assert outcomes(results) == ["opened", "opened"]
    assert pid_of(opener) != killed


def test_what_killed_the_process_of_one_file_is_not_held_against_another(make_opener, monkeypatch):
    """The memory that was missing for its process was missing for the next one, too."""
    slow = forge.pfx(forge.clear_safe(), mac_data=forge.mac_claim(iterations=10_000_000))
    opener = make_opener(kdf_iterations=NO_BUDGET, opening_cpu_seconds=300, opening_wall_seconds=300)
    list(opener.open_all([GOOD]))

    def fail(*_):
        raise TemplateEnded

    with monkeypatch.context() as patched:
        patched.setattr(template_module, "_COMMAND", (sys.executable, "-c", ""))
        patched.setattr(template_module.Template, "fork", fail)
        threading.Thread(target=kill_whoever_works, args=(opener, 1)).start()
        with pytest.raises(ChildDoesNotStart):
            list(opener.open_all([(slow, Secret(b"any"))]))

    threading.Thread(target=kill_whoever_works, args=(opener, 1)).start()
    assert outcomes(opener.open_all([(slow, Secret(b"any"))])) == ["wrong_password"]


def test_an_answer_to_another_request_is_nobodys(make_opener, monkeypatch):
    """Whatever brought it about: a device must not get the key of another."""
    opener = make_opener()
    list(opener.open_all([GOOD]))
    assert opener._child is not None
    monkeypatch.setattr(opener, "_number", opener._number + 1)
    opener._child.feed(iter([write_request(1, *GOOD, Limits(), NOW)]))

    with monkeypatch.context() as patched:
        patched.setattr(opener._child, "feed", lambda _requests: None)
        assert outcomes(opener.open_all([GOOD])) == ["crashed"]
    assert outcomes(opener.open_all([GOOD])) == ["opened"]


def test_a_process_that_is_killed_while_idle_costs_nothing(make_opener):
    opener = make_opener()
    list(opener.open_all([GOOD]))
    os.kill(pid_of(opener), signal.SIGKILL)

    assert outcomes(opener.open_all([GOOD, GOOD])) == ["opened", "opened"]


def test_a_file_for_which_there_is_no_memory_costs_its_own_item_only(make_opener):
    huge = b"\x30\x84\x05\x00\x00\x00" + bytes(80 * 1024**2)
    opener = make_opener(pkcs12_bytes=2**31, opening_memory_bytes=200 * 1024**2)

    found = outcomes(opener.open_all([GOOD, (huge, Secret(b"any")), GOOD]))

    assert found[0] == found[2] == "opened"
    assert found[1] in {"crashed", "too_costly", "malformed_pkcs12"}


def test_of_a_file_that_is_too_large_only_what_shows_it_is_sent(make_opener):
    (refusal,) = make_opener(pkcs12_bytes=1000).open_all([(bytes(50 * 1024**2), Secret(b"any"))])

    assert refusal.code == "too_large"


def test_more_than_the_pipes_hold_goes_through_without_a_deadlock(make_opener):
    garbage = (bytes(60_000), Secret(b"any"))

    found = outcomes(make_opener().open_all([garbage] * 100 + [GOOD] * 200))

    assert found == ["not_pkcs12"] * 100 + ["opened"] * 200


def test_the_process_works_ahead_while_the_caller_is_busy(make_opener):
    opener = make_opener()
    results = opener.open_all([GOOD] * 50)
    next(results)
    time.sleep(1.5)

    started = time.process_time(), time.monotonic()
    rest = list(results)

    assert len(rest) == 49
    assert time.monotonic() - started[1] < 1.5


def test_results_that_nobody_fetched_do_not_turn_up_later(make_opener):
    opener = make_opener()
    for _ in opener.open_all([GOOD] * 5):
        break

    assert outcomes(opener.open_all([(b"garbage", Secret(b""))])) == ["not_pkcs12"]


def test_the_process_is_replaced_after_a_number_of_files(make_opener, monkeypatch):
    monkeypatch.setattr("bulkcert.opening.opener._FILES_OF_ONE_CHILD", 2)
    opener = make_opener()
    seen = []
    for _ in opener.open_all([GOOD] * 5):
        seen.append(pid_of(opener))

    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]


def test_closing_twice_is_closing_once(make_opener):
    opener = make_opener()
    list(opener.open_all([GOOD]))
    pid = pid_of(opener)

    opener.close()
    opener.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert outcomes(opener.open_all([GOOD])) == ["opened"]


def test_a_process_serves_one_import(make_opener):
    opener = make_opener()
    pids = []
    for owner in ("one", "one", "other", "one"):
        list(opener.open_all([GOOD], owner))
        pids.append(pid_of(opener))

    assert pids[0] == pids[1]
    assert len(set(pids)) == 3


def test_a_template_that_is_killed_is_started_again(make_opener):
    opener = make_opener()
    list(opener.open_all([GOOD], "one"))
    opener._template._process.kill()

    assert outcomes(opener.open_all([GOOD], "one")) == ["opened"]
    assert outcomes(opener.open_all([GOOD], "other")) == ["opened"]


def test_a_process_that_does_not_start_is_no_files_fault(make_opener, monkeypatch):
    monkeypatch.setattr(template_module, "_COMMAND", (sys.executable, "-c", ""))

    with pytest.raises(ChildDoesNotStart):
        list(make_opener().open_all([GOOD]))


TAKEN_OVER = """
import os, struct
from bulkcert.opening.forking import run

def serve(requests, answers, limits):
    def write(octets):
        while octets:
            octets = octets[os.write(answers, octets):]
    def say(octets):
        write(struct.pack(">I", len(octets)) + octets)
    {body}
    os.read(requests, 1)

run(serve)
"""


def taken_over(body: str) -> tuple[str, ...]:
    """Return the command of a template whose children do this."""
    return (sys.executable, "-c", TAKEN_OVER.format(body=body))


class Explodes:
    def __reduce__(self):
        return os._exit, (99,)


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b"[]",
        b"\xff",
        pickle.dumps(Explodes()),
        b'{"code": "no_such_code", "detail": "", "found": null}',
    ],
)
def test_a_process_that_was_taken_over_is_not_believed(make_opener, monkeypatch, answer):
    monkeypatch.setattr(
        template_module, "_COMMAND", taken_over(f"say(b''); say((1).to_bytes(8) + {answer!r})")
    )

    (refusal,) = make_opener().open_all([GOOD])

    assert isinstance(refusal, Crashed)


def test_a_process_that_answers_without_end_is_not_listened_to(make_opener, monkeypatch):
    flood = "write(bytes([255]) * 8)\n    while True: write(bytes(65536))"
    monkeypatch.setattr(template_module, "_COMMAND", taken_over(flood))

    (refusal,) = make_opener().open_all([GOOD])

    assert isinstance(refusal, Crashed)


def test_a_process_that_dies_before_every_file_does_not_start_over_for_ever(make_opener, monkeypatch):
    monkeypatch.setattr(template_module, "_COMMAND", taken_over("return"))

    assert outcomes(make_opener().open_all([GOOD, GOOD])) == ["crashed", "crashed"]


def test_the_process_gets_none_of_the_settings(monkeypatch):
    monkeypatch.setenv("BULKCERT_MASTER_KEY_FILE", "/somewhere")

    assert set(environment()) <= {"LD_LIBRARY_PATH"}


def test_the_process_shows_no_settings_and_no_secrets_to_others(make_opener, monkeypatch):
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc")
    monkeypatch.setenv("BULKCERT_MASTER_KEY_FILE", "/somewhere")
    opener = make_opener()
    list(opener.open_all([GOOD]))
    process = Path(f"/proc/{pid_of(opener)}")

    assert PASSWORD.encode() not in (process / "cmdline").read_bytes()
    try:
        variables = (process / "environ").read_bytes()
        descriptors = {str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()}
    except PermissionError:  # better still: it lets itself be looked into by root alone
        return
    assert b"BULKCERT" not in variables
    assert {place.split(":")[0] for place in descriptors} == {"/dev/null", "pipe"}


def test_the_process_has_no_core_dumps_and_writes_no_files(make_opener):
    if not hasattr(resource, "prlimit"):
        pytest.skip("needs prlimit")
    opener = make_opener(opening_memory_bytes=300 * 1024**2)
    list(opener.open_all([GOOD]))

    limits = {
        name: resource.prlimit(pid_of(opener), getattr(resource, name))[0]
        for name in ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_AS")
    }

    assert limits == {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_AS": 300 * 1024**2}


PARENT = """
import os, signal
from bulkcert.values.limits import Limits
from bulkcert.opening.opener import Opener
from bulkcert.values.secret import Secret
opener = Opener(Limits())
list(opener.open_all([(b"garbage", Secret(b""))]))
print(opener._child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_process_ends_when_its_parent_dies():
    parent = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, check=False)
    pid = int(parent.stdout)

    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
            return  # nobody collects the dead here, as in a container without an init
        time.sleep(0.1)
    pytest.fail("the process lives on")


def test_a_refusal_by_time_says_so(make_opener):
    opener = make_opener(kdf_iterations=NO_BUDGET, opening_cpu_seconds=300, opening_wall_seconds=1)

    (refusal,) = opener.open_all([ENDLESS])

    assert isinstance(refusal, TooCostly)
    assert refusal.detail == "Opening the file took longer than the limit."


def test_odd_certificates_are_believed_of_the_process_that_opened_them(make_opener):
    """What the worker checks by itself has to read as much as the process does."""
    password = Secret(forge.PASSWORD.encode())
    files = [(a_file(certificate, ODD_CA), password) for certificate in ODD.values()]

    opened = list(make_opener().open_all(files))

    assert [one.leaf.der for one in opened if isinstance(one, OpenedCertificate)] == list(ODD.values())
