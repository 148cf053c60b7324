"""What else opens a PKCS#12: the library's loader, the openssl command, a warm JVM."""

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.serialization import pkcs12

from benchmarks.opening_files import PASSWORD, File

_OPENSSL_RUNS = 10

# Opens every file over and over: seconds to warm up, then seconds that count, in so many threads.
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

    public static void main(String[] arguments) throws Exception {
        password = new String(System.in.readAllBytes(), "UTF-8").toCharArray();
        File[] found = new File(arguments[0]).listFiles();
        files = new byte[found.length][];
        for (int i = 0; i < found.length; i++) files[i] = Files.readAllBytes(found[i].toPath());
        double seconds = Double.parseDouble(arguments[1]);
        int threads = Integer.parseInt(arguments[2]);
        openFor(2 * seconds);
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        List<Future<List<Long>>> work = new ArrayList<>();
        for (int i = 0; i < threads; i++) work.add(pool.submit(() -> openFor(seconds)));
        List<Long> times = new ArrayList<>();
        for (Future<List<Long>> each : work) times.addAll(each.get());
        pool.shutdown();
        Collections.sort(times);
        System.out.println(times.get(times.size() / 2) / 1e6 / threads);
    }
}
"""


def load_pkcs12(file: File) -> None:
    """Open by the library's loader, which does not prove that key and certificate belong together."""
    pkcs12.load_pkcs12(file.content, PASSWORD.encode())


def others(files: list[File], directory: Path, seconds: float) -> Iterator[tuple[str, float]]:
    """Measure the peers that are found here; give their names and milliseconds per file."""
    place = directory / f"{files[0].kind} {files[0].scheme}"
    place.mkdir()
    for number, file in enumerate(files):
        (place / f"{number}.p12").write_bytes(file.content)
    if shutil.which("openssl"):
        yield "openssl command", _openssl(place, len(files))
    if shutil.which("javac") and shutil.which("java"):
        for threads in (1, 2):
            yield f"JVM, {threads} thread{'s' * (threads > 1)}", _java(directory, place, seconds, threads)


def _openssl(place: Path, count: int) -> float:
    times = []
    for number in range(min(count, _OPENSSL_RUNS)):
        command = ["openssl", "pkcs12", "-in", place / f"{number}.p12", "-noout", "-passin", "stdin"]
        started = time.perf_counter()
        subprocess.run(command, input=PASSWORD.encode() + b"\n", capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def _java(directory: Path, place: Path, seconds: float, threads: int) -> float:
    source = directory / "OpenAll.java"
    if not source.exists():
        source.write_text(_JAVA)
        subprocess.run(["javac", source], check=True, capture_output=True)
    command = ["java", "-cp", directory, "OpenAll", place, str(seconds), str(threads)]
    finished = subprocess.run(command, input=PASSWORD.encode(), capture_output=True, check=True)
    return float(finished.stdout)
