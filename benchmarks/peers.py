"""What else opens a PKCS#12: the library's loader, the openssl command, a warm JVM."""

import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.serialization import pkcs12

from benchmarks.opening_files import PASSWORD, File

_OPENSSL_RUNS = 10

# Opens every file for some seconds to warm up, and says so. Then each line is a question: "turn" opens the
# files once and tells the nanoseconds of each; "threads 2 3.0" opens them in so many threads for so many
# seconds and tells the median of the nanoseconds, divided by the threads.
_JAVA = """
import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.util.*;
import java.util.concurrent.*;

public class OpenAll {
    static byte[][] files;
    static char[] password;

    static long open(byte[] file) throws Exception {
        long started = System.nanoTime();
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(new ByteArrayInputStream(file), password);
        String alias = store.aliases().nextElement();
        if (store.getKey(alias, password) == null) throw new Exception();
        return System.nanoTime() - started;
    }

    static List<Long> openFor(double seconds) throws Exception {
        List<Long> times = new ArrayList<>();
        long end = System.nanoTime() + (long) (seconds * 1e9);
        while (System.nanoTime() < end) for (byte[] file : files) times.add(open(file));
        return times;
    }

    static String takeTurn() throws Exception {
        StringJoiner times = new StringJoiner(" ");
        for (byte[] file : files) times.add("" + open(file));
        return times.toString();
    }

    static String openInThreads(int threads, double seconds) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        List<Future<List<Long>>> work = new ArrayList<>();
        for (int i = 0; i < threads; i++) work.add(pool.submit(() -> openFor(seconds)));
        List<Long> times = new ArrayList<>();
        for (Future<List<Long>> each : work) times.addAll(each.get());
        pool.shutdown();
        Collections.sort(times);
        return "" + times.get(times.size() / 2) / threads;
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        password = questions.readLine().toCharArray();
        int count = Integer.parseInt(arguments[1]);
        files = new byte[count][];
        for (int i = 0; i < count; i++) files[i] = Files.readAllBytes(Paths.get(arguments[0], i + ".p12"));
        openFor(Double.parseDouble(arguments[2]));
        System.out.println("warm");
        String line;
        while ((line = questions.readLine()) != null) {
            String[] words = line.split(" ");
            if (words[0].equals("turn"))
                System.out.println(takeTurn());
            else
                System.out.println(openInThreads(Integer.parseInt(words[1]), Double.parseDouble(words[2])));
            System.out.flush();
        }
    }
}
"""


def load_pkcs12(file: File) -> None:
    """Open by the library's loader, which does not prove that key and certificate belong together."""
    pkcs12.load_pkcs12(file.content, PASSWORD.encode())


class Openssl:
    """The openssl command: a process for every file."""

    def __init__(self, files: Sequence[File], directory: Path) -> None:
        self._place = _write(files, directory)
        self._count = min(len(files), _OPENSSL_RUNS)

    @staticmethod
    def is_here() -> bool:
        """Tell whether the command is found."""
        return shutil.which("openssl") is not None

    def median(self) -> float:
        """Open some files; give the median of milliseconds."""
        times = []
        for number in range(self._count):
            command = [
                "openssl",
                "pkcs12",
                "-in",
                self._place / f"{number}.p12",
                "-noout",
                "-passin",
                "stdin",
            ]
            started = time.perf_counter()
            subprocess.run(command, input=PASSWORD.encode() + b"\n", capture_output=True, check=True)
            times.append(time.perf_counter() - started)
        return statistics.median(times) * 1000


class Jvm:
    """A warm JVM with the files of one sort, on the cores of whoever made it.

    It stands still but for its turns: it has threads that would work in those of the others.
    """

    def __init__(self, files: Sequence[File], directory: Path, warming: float) -> None:
        source = directory / "OpenAll.java"
        if not source.exists():
            source.write_text(_JAVA)
            subprocess.run(["javac", source], check=True, capture_output=True)
        arguments = [_write(files, directory), str(len(files)), str(warming)]
        self._process = subprocess.Popen(
            ["java", "-cp", directory, "OpenAll", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask(PASSWORD)

    @staticmethod
    def is_here() -> bool:
        """Tell whether Java is found."""
        return shutil.which("javac") is not None and shutil.which("java") is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.communicate()

    def take_turn(self) -> list[float]:
        """Open the files; give the seconds of each."""
        return [int(nanoseconds) / 1e9 for nanoseconds in self._ask("turn").split()]

    def open_in_threads(self, threads: int, seconds: float) -> float:
        """Open for some seconds; give the median of milliseconds for a file, divided by the threads."""
        return int(self._ask(f"threads {threads} {seconds}")) / 1e6

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        self._process.send_signal(signal.SIGSTOP)
        return answer


def _write(files: Sequence[File], directory: Path) -> Path:
    place = directory / f"{files[0].kind} {files[0].scheme}"
    place.mkdir(exist_ok=True)
    for number, file in enumerate(files):
        (place / f"{number}.p12").write_bytes(file.content)
    return place
