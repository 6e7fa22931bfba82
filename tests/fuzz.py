#!/usr/bin/env python3
"""Wrong input without end, from outside: configurations, requests to the API, answers to probes.

Each target takes good input, changes it at random places, and looks at what must hold whatever came: the program ends
with a code of its own and never by a panic or a signal; the host answers `/healthz`, has not ended and said nothing of a panic.
What broke it is written to `fuzz-TARGET-SEED`, and the seed repeats it.

    tests/fuzz.py [--seconds 60] [--seed N] [--binary target/release/phasegate] [config|api|probe ...]
"""

import argparse
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PIECES = [b"\x00", b"\xff\xfe", b"\xe2\x80\xae", b"{", b"}", b"[" * 300, b"\"", b"\\u0000", b"-1", b"0", b"1e309", b"nan",
          b"18446744073709551616", b"true", b"null", b"\r\n", b"\n", b"=", b"%00", b"..%2f", b"' OR 1", b"A" * 5000,
          b"PT0S", b"P99999999999999999999D", b"9999-12-31T23:59:60Z", b"\x1b[2J", b","]


def mutated(text, rng):
    """A few changes: bytes that go, come, turn, and parts that move."""
    text = bytearray(text)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(text) + 1)
        what = rng.randrange(6)
        if what == 0:
            del text[at:at + rng.randint(1, 30)]
        elif what == 1:
            text[at:at] = rng.choice(PIECES)
        elif what == 2 and at < len(text):
            text[at] ^= 1 << rng.randrange(8)
        elif what == 3:
            piece = bytes(text[at:at + rng.randint(1, 80)])
            other = rng.randrange(len(text) + 1)
            text[other:other] = piece
        elif what == 4:
            numbers = [m.span() for m in re.finditer(rb"\d+", bytes(text))]
            if numbers:
                start, end = rng.choice(numbers)
                text[start:end] = rng.choice([b"0", b"-1", b"4294967296", b"1e400", b"0.0001", b"007"])
        else:
            text[at:at + 4] = bytes(rng.randrange(256) for _ in range(4))
    return bytes(text)


class Broken(Exception):
    """What must hold does not."""


def toml(api, instance):
    return f"""[server]
listen = "127.0.0.1:{api}"
dataDir = "data"
[retention]
audit = "P30D"
upgrades = 100
[[scaleSets]]
name = "orders"
model = {{ version = "v1" }}
driver = {{ kind = "command", command = ["true"] }}
[scaleSets.health]
protocol = "http"
requestPath = "/health?a=b"
intervalInSeconds = 0.1
numberOfProbes = 1
gracePeriod = 1
timeoutInSeconds = 1
[scaleSets.upgradePolicy]
freezeWindows = [{{ firstDate = "2026-12-20", lastDate = "2027-01-03", reason = "holidays" }}]
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxBatchInstancePercent = 20
pauseTimeBetweenBatches = "PT1S"
[[scaleSets.instances]]
id = "0"
address = "127.0.0.1:{instance}"
labels = {{ role = "leader" }}
"""


class Host:
    """A host in a folder, watched."""

    def __init__(self, binary, api, instance):
        self.api = api
        pathlib.Path("phasegate.toml").write_text(re.sub(r"(?m)^freezeWindows = .*\n", "", toml(api, instance)))
        self.log = open("log", "wb")
        self.process = subprocess.Popen([binary, "run"], stdout=self.log, stderr=self.log)
        until = time.monotonic() + 120
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise SystemExit("the host did not begin:\n" + pathlib.Path("log").read_text())
            time.sleep(0.2)

    def answers(self):
        asked = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        return self.send(asked, 30).startswith(b"HTTP/1.1 200")

    def send(self, raw, patience=0.3):
        """What comes back; what says nothing more for a while, or waits for more, is left."""
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.api), 10) as stream:
                stream.settimeout(patience)
                stream.sendall(raw)
                while piece := stream.recv(65536):
                    answer += piece
                    if len(answer) > 1 << 22:
                        break
        except OSError:
            pass
        return answer

    def look(self):
        if self.process.poll() is not None:
            raise Broken(f"the host has ended with {self.process.returncode}")
        if not self.answers():
            raise Broken("the host does not answer /healthz")
        if b"panicked" in pathlib.Path("log").read_bytes():
            raise Broken("a panic in the log")

    def stop(self):
        self.process.terminate()
        if self.process.wait(60) != 0:
            raise Broken(f"the host ended with {self.process.returncode}")


def config(binary, rng, ends):
    good, count = toml(1, 2).encode(), 0
    while time.monotonic() < ends:
        text = mutated(good, rng)
        pathlib.Path("phasegate.toml").write_bytes(text)
        ended = subprocess.run([binary, "check", "--offline"], capture_output=True, timeout=60)
        if ended.returncode not in (0, 1, 2) or b"panicked" in ended.stderr or b"unknown reason" in ended.stdout:
            yield text, Broken(f"check ended with {ended.returncode}: {ended.stderr[-500:]!r} {ended.stdout[-300:]!r}")
        count += 1
    print(f"config: {count} files")


REQUESTS = [
    b"GET /v1/fleet HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
    b"GET /v1/scale-sets/orders/log?instance=0&since=PT1H&limit=10&before=7 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/scale-sets/orders/plan?to=v2&extension=logs%3D2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/scale-sets/orders/explain/0?upgrade=orders-1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/events?since=0&kind=apply HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: 3\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n",
    b"POST /v1/line/stop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"reason\":\"x\"}",
    b"POST /v1/scale-sets/orders/upgrade HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k1\r\n"
    b"Content-Type: application/json\r\nContent-Length: 32\r\n\r\n{\"to\":\"v2\",\"instances\":[\"0\",\"*\"]}",
    b"POST /v1/plugins/azure-health/swap?dryRun=true HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"8\r\n\x00asm\x0d\x00\x01\x00\r\n0\r\n\r\n",
]


def api(binary, rng, ends):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, count = Host(binary, 19_702, silent.getsockname()[1]), 0
        try:
            while time.monotonic() < ends:
                raw = mutated(rng.choice(REQUESTS), rng)
                if b"/v1/events" in raw:
                    # It would go on until it is left.
                    with socket.create_connection(("127.0.0.1", host.api), 10) as stream:
                        stream.sendall(raw)
                else:
                    answer = host.send(raw)
                    if answer and not re.match(rb"HTTP/1\.[01] [1-5]\d\d ", answer):
                        yield raw, Broken(f"answered {answer[:200]!r}")
                    if answer.startswith(b"HTTP/1.1 500"):
                        yield raw, Broken(f"answered {answer[:400]!r}")
                count += 1
                if count % 50 == 0:
                    try:
                        host.look()
                    except Broken as broken:
                        yield raw, broken
                        return
        finally:
            host.stop()
        print(f"api: {count} requests")


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n{\"ApplicationHealthState\":\"Healthy\"}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Service Unavailable\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\nConnection: close\r\n\r\n\x1f\x8b\x08\x00\x00",
]


def probe(binary, rng, ends):
    latest = [b""]
    count = [0]
    server = socket.create_server(("127.0.0.1", 0), backlog=50)
    server.settimeout(0.5)

    def serve():
        while time.monotonic() < ends + 1:
            try:
                stream, _ = server.accept()
            except OSError:
                continue
            with stream:
                try:
                    stream.settimeout(2)
                    stream.recv(4096)
                    latest[0] = mutated(rng.choice(ANSWERS), rng)
                    stream.sendall(latest[0])
                    count[0] += 1
                except OSError:
                    pass

    host = Host(binary, 19_703, server.getsockname()[1])
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        while time.monotonic() < ends:
            time.sleep(0.5)
            # Out of turn as well: the rhythm of one instance is ten a second.
            host.send(b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            try:
                host.look()
            except Broken as broken:
                yield latest[0], broken
                return
    finally:
        thread.join()
        server.close()
        host.stop()
    print(f"probe: {count[0]} answers")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=["config", "api", "probe"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--binary", default=str(ROOT / "target/release/phasegate"))
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    binary, here, bad = str(pathlib.Path(arguments.binary).resolve()), pathlib.Path.cwd(), 0
    for target in arguments.targets:
        print(f"{target}: seed {seed}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            run = {"config": config, "api": api, "probe": probe}[target]
            for text, broken in run(binary, random.Random(seed), time.monotonic() + arguments.seconds):
                bad += 1
                kept = here / f"fuzz-{target}-{seed}"
                kept.write_bytes(text)
                print(f"{target}: {broken}; the input is {kept}", file=sys.stderr)
            os.chdir(here)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
