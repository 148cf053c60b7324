"""Code that runs in the opening process reaches nothing: its opener is replaced by one that attacks."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.opening import seccomp
from bulkcert.opening import template as template_module
from bulkcert.opening.confinement import Layers
from bulkcert.opening.opener import Opener
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import PASSWORD, a_pkcs12, an_rsa_key
from tests.formats.pkcs12.specimens import VECTORS

HOSTILE = """
import ctypes, mmap, os, resource, signal, socket, subprocess, threading
from functools import partial
from bulkcert.errors import Crashed
from bulkcert.opening.forking import run
from bulkcert.opening.serving import serve

libc = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "memfd_create": 319, "io_uring_setup": 425,
    "unshare": 272, "setns": 308, "mount": 165, "bpf": 321, "keyctl": 250, "userfaultfd": 323, "kcmp": 312,
    "perf_event_open": 298, "shmget": 29, "msgget": 68, "mq_open": 240, "inotify_init1": 294, "tgkill": 234,
    "tkill": 200, "rt_sigqueueinfo": 129, "pidfd_open": 434, "pidfd_getfd": 438, "execveat": 322, "vfork": 58,
    "clone3": 435, "openat2": 437, "open_by_handle_at": 304, "setuid": 105, "setpriority": 141, "pipe2": 293,
    "eventfd2": 290, "timer_create": 222, "dup": 32,
}

def call(name):
    if libc.syscall(CALLS[name], 0, 0, 0, 0, 0, 0) != -1:
        return
    if ctypes.get_errno() in (1, 13, 38):  # EPERM, EACCES, ENOSYS
        raise OSError(ctypes.get_errno(), "refused")

def executable_memory():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)

def limit_of_the_worker(pid):
    resource.prlimit(pid, resource.RLIMIT_NOFILE)

def attack(data, password, limits, now):
    what, _, argument = data.decode().partition(" ")
    try:
        found = {
            "read": lambda: open(argument, "rb").read(1),
            "write": lambda: open(argument, "ab"),
            "read_write": lambda: os.open(argument, os.O_RDWR),
            "list": lambda: os.listdir(argument),
            "stat": lambda: os.stat(argument),
            "remove": lambda: os.remove(argument),
            "rename": lambda: os.rename(argument, argument + ".old"),
            "make": lambda: os.mkdir(argument),
            "link": lambda: os.symlink("/etc/passwd", argument),
            "mode": lambda: os.chmod(argument, 0o777),
            "tcp": lambda: socket.create_connection(("127.0.0.1", int(argument)), 1),
            "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "unix": lambda: socket.socket(socket.AF_UNIX),
            "pair": lambda: socket.socketpair(),
            "run": lambda: subprocess.run([argument]),
            "exec": lambda: os.execv(argument, [argument]),
            "fork": lambda: os.fork() or os._exit(0),
            "thread": lambda: threading.Thread(target=print).start(),
            "kill": lambda: os.kill(int(argument), 0),
            "executable": executable_memory,
            "limit": lambda: limit_of_the_worker(int(argument)),
            "call": lambda: call(argument),
        }[what]()
    except (OSError, RuntimeError) as refused:
        raise Crashed(f"refused {refused}") from None
    raise Crashed(f"did it: {found}")

run(partial(serve, open_file=attack))
"""

needs_linux = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="needs Linux on x86-64"
)


@pytest.fixture(scope="module")
def hostile() -> Iterator[Opener]:
    """An opener in whose processes hostile code runs."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(template_module, "_COMMAND", (sys.executable, "-c", HOSTILE))
        opener = Opener(Limits())
        opener.layers()
    yield opener
    opener.close()


def try_it(opener: Opener, attack: str) -> str:
    (refusal,) = opener.open_all([(attack.encode(), Secret(b""))])
    assert isinstance(refusal, ItemRefusal)
    return refusal.detail


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("victim") / "master.key"
    file.write_text("a key")
    return file


FILE_ATTACKS = ["read", "write", "read_write", "stat", "remove", "rename", "mode"]


@needs_linux
@pytest.mark.parametrize("attack", FILE_ATTACKS)
def test_p27_no_file_is_reached(hostile: Opener, victim: Path, attack: str) -> None:
    assert try_it(hostile, f"{attack} {victim}").startswith("refused")
    assert victim.read_text() == "a key"


@needs_linux
@pytest.mark.parametrize(
    "attack", ["read /proc/self/maps", "read /etc/passwd", "list /", "list /proc/self/fd", "make /tmp/made-here",
               "link /tmp/linked-here", "read /dev/urandom"],
)  # fmt: skip
def test_p27_no_folder_is_read_or_changed(hostile: Opener, attack: str) -> None:
    assert try_it(hostile, attack).startswith("refused")


@needs_linux
@pytest.mark.parametrize("attack", ["read /proc/{}/mem", "read_write /proc/{}/mem", "kill {}", "limit {}"])
def test_p27_the_worker_is_out_of_reach(hostile: Opener, attack: str) -> None:
    assert try_it(hostile, attack.format(os.getpid())).startswith("refused")


@needs_linux
def test_p27_nothing_is_connected_to(hostile: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        attacks = [f"tcp {server.getsockname()[1]}", "udp", "unix", "pair"]
        found = [try_it(hostile, attack).split()[0] for attack in attacks]

    assert found == ["refused"] * 4


@needs_linux
@pytest.mark.parametrize("attack", ["run /bin/true", "exec /bin/true", "fork", "thread", "executable"])
def test_p27_nothing_is_started(hostile: Opener, attack: str) -> None:
    assert try_it(hostile, attack).startswith("refused")


CALLS = [
    name.strip().strip('"')
    for line in HOSTILE.partition("CALLS = {")[2].partition("}")[0].splitlines()
    for pair in line.split(",")
    if (name := pair.partition(":")[0]).strip()
]


@needs_linux
@pytest.mark.parametrize("name", CALLS)
def test_p27_the_kernel_is_not_asked_for_anything_else(hostile: Opener, name: str) -> None:
    assert try_it(hostile, f"call {name}").startswith("refused")


CANARY = b"a canary that must be forgotten"


@needs_linux
def test_p27_a_process_remembers_nothing_of_another_import() -> None:
    opener = Opener(Limits())
    try:
        (opened,) = opener.open_all([(a_pkcs12(password=CANARY.decode()), Secret(CANARY))], "one")
        held = memory_of(opener._child.pid)
        list(opener.open_all([(a_pkcs12(), Secret(PASSWORD.encode()))], "other"))
        child, template = memory_of(opener._child.pid), memory_of(opener._template._process.pid)
    finally:
        opener.close()

    key = opened.private_key.reveal()[-40:]
    assert CANARY in held
    assert [secret in memory for memory in (child, template) for secret in (CANARY, key)] == [False] * 4


def memory_of(pid: int) -> bytes:
    """Return what a process has written into its memory; only root may read it."""
    found = bytearray()
    try:
        with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                ends, rights, *_ = line.split()
                if rights.startswith("rw"):
                    first, last = (int(end, 16) for end in ends.split("-"))
                    memory.seek(first)
                    found += memory.read(last - first)
    except PermissionError:
        pytest.skip("needs root to read the memory of a protected process")
    return bytes(found)


@needs_linux
def test_the_layers_in_force_are_reported() -> None:
    opener = Opener(Limits())
    try:
        layers = opener.layers()
    finally:
        opener.close()

    assert isinstance(layers, Layers)
    assert layers.seccomp
    assert layers.are_enough


@pytest.mark.parametrize(
    ("layers", "enough"),
    [(Layers(), False), (Layers(landlock=1), True), (Layers(seccomp=True), True), (Layers(namespaces=True), False)],
)  # fmt: skip
def test_one_of_two_layers_is_needed(layers: Layers, enough: bool) -> None:
    assert layers.are_enough is enough


@pytest.mark.parametrize("machine", seccomp._NUMBERS)
def test_what_the_filter_allows_is_a_short_program(machine: str) -> None:
    template, child = (seccomp._program(machine, is_template=which) for which in (True, False))

    assert len(child) < len(template) < 4096 * 8


FILES = [
    *((path.read_bytes(), password) for path in sorted(VECTORS.glob("*.p12")) for password in (b"cryptography", b"")),
    (a_pkcs12(key=an_rsa_key()), PASSWORD.encode()),
    (a_pkcs12(common_name="Gerät"), PASSWORD.encode()),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:PKCS#12 bundle could not be parsed as DER")
def test_what_opens_without_confinement_opens_in_it() -> None:
    """A module or a file that is needed late would be missing there."""
    opener = Opener(Limits())
    try:
        confined = list(opener.open_all([(data, Secret(password)) for data, password in FILES]))
    finally:
        opener.close()

    for (data, password), found in zip(FILES, confined, strict=True):
        try:
            expected: object = open_pkcs12(data, Secret(password))
        except ItemRefusal as refusal:
            assert isinstance(found, ItemRefusal)
            assert (found.code, found.detail) == (refusal.code, refusal.detail)
        else:
            assert found == expected


LYING = """
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.opening.forking import run
from bulkcert.opening.serving import serve
from dataclasses import replace
from functools import partial

earlier = []

def lie(data, password, *rest):
    opened = pkcs12.open(data, password, *rest)
    earlier.append(opened)
    first, facts = earlier[0], opened.leaf.facts
    return {lie}

run(partial(serve, open_file=lie))
"""


@pytest.mark.parametrize(
    "lie",
    [
        "replace(opened, private_key=first.private_key)",
        "replace(opened, leaf=first.leaf)",
        "replace(opened, leaf=replace(opened.leaf, der=first.leaf.der))",
        "replace(opened, leaf=replace(opened.leaf, facts=first.leaf.facts))",
        "replace(opened, leaf=replace(opened.leaf, facts=replace(facts, public_key_sha256='0' * 64)))",
        "replace(opened, leaf=replace(opened.leaf, facts=replace(facts, fingerprint_sha256='0' * 64)))",
        "replace(opened, chain=(replace(opened.chain[0], der=b'0'),))",
        "replace(opened, private_key=type(password)(b''))",
    ],
)
def test_p27_a_child_that_lies_is_not_believed(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot give a device the key of another, nor claim the key of another."""
    monkeypatch.setattr(template_module, "_COMMAND", (sys.executable, "-c", LYING.format(lie=lie)))
    opener = Opener(Limits())
    files = [(a_pkcs12(), Secret(PASSWORD.encode())) for _ in range(2)]
    try:
        results = list(opener.open_all(files, "one"))
    finally:
        opener.close()

    assert [getattr(result, "code", None) for result in results][-1] == "crashed"
