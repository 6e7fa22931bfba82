#!/usr/bin/env python3
"""How long a trail of two million lines takes to read, through the command line and the API, and what the host does beside.

A host runs one upgrade, its trail is made two million lines long, and it is started again. Then each way to read is
timed alone, and `/healthz` beside twenty readers. Prints figures; ends with 1 when a read does not give what it should,
never because of a time.

    tests/trail.py [--lines 2000000] [--binary target/release/phasegate]
"""

import argparse
import http.server
import json
import multiprocessing
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
API, FIRST, INSTANCES = 19_310, 19_311, 20
LIMIT = 0.050


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers one probe."""

    def do_GET(self):
        body = b'{"ApplicationHealthState":"Healthy"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def configuration():
    text = [f'[server]\nlisten = "127.0.0.1:{API}"\ndataDir = "data"\n', "[retention]\nauditLines = 10000000\n",
            '[[scaleSets]]\nname = "orders"\nmodel = { version = "v1" }\n'
            'driver = { kind = "command", command = ["true"] }\n'
            "[scaleSets.health]\nintervalInSeconds = 1\n"
            '[scaleSets.upgradePolicy.rollingUpgradePolicy]\npauseTimeBetweenBatches = "PT0S"\n']
    text += [f'[[scaleSets.instances]]\nid = "{number}"\naddress = "127.0.0.1:{FIRST + number}"\n'
             for number in range(INSTANCES)]
    pathlib.Path("phasegate.toml").write_text("".join(text))


def run(phasegate, *arguments):
    begun = time.monotonic()
    ended = subprocess.run([phasegate, *arguments], capture_output=True, text=True)
    return ended, time.monotonic() - begun


def start(phasegate):
    host = subprocess.Popen([phasegate, "run"], stdout=subprocess.DEVNULL, stderr=open("log", "a"))
    until = time.monotonic() + 300
    while run(phasegate, "fleet")[0].returncode != 0:
        if time.monotonic() > until or host.poll() is not None:
            sys.exit("the host did not begin:\n" + pathlib.Path("log").read_text()[-4000:])
        time.sleep(0.2)
    return host


def stop(host):
    host.terminate()
    host.wait(60)


def lengthen(lines):
    """Repeats what one upgrade has left behind, under the numbers that come before."""
    record = sqlite3.connect("data/phasegate.db")
    columns = [row[1] for row in record.execute("PRAGMA table_info(audit)")]
    first, last = record.execute("SELECT MIN(seq), MAX(seq) FROM audit").fetchone()
    many = last - first + 1
    # What there is goes to the end, so that the newest upgrade is still the newest.
    begun = time.monotonic()
    rounds = lines // many
    given = ", ".join({
        "seq": f"audit.seq + {many} * n", "entry": f"json_set(entry, '$.seq', audit.seq + {many} * n)",
    }.get(column, column) for column in columns)
    record.execute(
        f"WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < {rounds}) "
        f"INSERT INTO audit ({', '.join(columns)}) SELECT {given} FROM more, audit WHERE audit.seq <= {last}")
    for table, column in [("counters", "next_audit"), ("meta", "audit")]:
        try:
            record.execute(f"UPDATE {table} SET {column} = {column} + {many * rounds}")
        except sqlite3.OperationalError:
            pass
    record.commit()
    count = record.execute("SELECT COUNT(*) FROM audit").fetchone()[0]
    print(f"{count} lines, {pathlib.Path('data/phasegate.db').stat().st_size >> 20} MiB, "
          f"written in {time.monotonic() - begun:.0f} s", flush=True)


def get(path):
    begun = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{API}{path}", timeout=60) as answer:
        body = answer.read()
    return body, time.monotonic() - begun


def shown(name, times, problems):
    times.sort()
    slow = "" if times[-1] <= LIMIT else "  above 50 ms"
    print(f"{name:55} median {times[len(times) // 2] * 1000:6.1f} ms, slowest {times[-1] * 1000:6.1f} ms{slow}", flush=True)
    if slow:
        problems.append(name)


def main(arguments):
    phasegate = str(pathlib.Path(arguments.binary).resolve())
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", FIRST + number), Healthy) for number in range(INSTANCES)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        configuration()
        host = start(phasegate)
        upgraded, _ = run(phasegate, "upgrade", "start", "orders", "--to", "v2", "--wait")
        stop(host)
        if upgraded.returncode:
            sys.exit(f"the upgrade did not go through: {upgraded.stderr}")
        lengthen(arguments.lines)
        host = start(phasegate)
        try:
            return measure(phasegate)
        finally:
            stop(host)


def crowd(paths, count, enough):
    """Twenty readers, in a process of their own: what they do with an answer must not be in the way of the clock."""

    def read(path):
        while not enough.is_set():
            get(path)
            with count.get_lock():
                count.value += 1

    readers = [threading.Thread(target=read, args=(paths[number % len(paths)],)) for number in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()


def measure(phasegate):
    slow, wrong = [], []
    latest = json.loads(run(phasegate, "upgrade", "status", "orders", "--json")[0].stdout)
    upgrade = (latest.get("status") or latest).get("id")
    if upgrade is None:
        sys.exit(f"no upgrade: {latest}")
    base = "/v1/scale-sets/orders"
    for path in [f"{base}/log", f"{base}/log?limit=10000", f"{base}/log?instance=7", f"{base}/log?upgrade={upgrade}",
                 f"{base}/log?instance=7&upgrade={upgrade}", f"{base}/log?since=PT1H", f"{base}/log?since=1000&limit=100",
                 f"{base}/log?until=5000", f"{base}/log?since=2020-01-01T00:00:00Z&until=2021-01-01T00:00:00Z",
                 f"{base}/explain/7", f"{base}/upgrades", "/healthz"]:
        try:
            answers = [get(path) for _ in range(7)]
        except OSError as error:
            wrong.append(f"{path}: {error}")
            print(f"{path}: {error}", flush=True)
            continue
        shown(path, [took for _, took in answers], slow)
    for words in [("log", "orders"), ("log", "orders", "--instance", "7"), ("log", "orders", "--upgrade", upgrade),
                  ("log", "orders", "--since", "PT1H", "--limit", "100"), ("upgrade", "explain", "orders", "7"),
                  ("upgrade", "log", "orders"), ("version",)]:
        ended = [run(phasegate, *words) for _ in range(5)]
        if ended[0][0].returncode and words != ("version",):
            wrong.append(f"{words}: {ended[0][0].stderr}")
        shown("phasegate " + " ".join(words), [took for _, took in ended], slow)
    paths = [f"{base}/log?limit=10000", f"{base}/log?instance=7", f"{base}/log?upgrade={upgrade}"]
    count, enough = multiprocessing.Value("i", 0), multiprocessing.Event()
    readers = multiprocessing.Process(target=crowd, args=(paths, count, enough))
    readers.start()
    times = []
    for _ in range(100):
        times.append(get("/healthz")[1])
        time.sleep(0.05)
    enough.set()
    readers.join()
    shown(f"/healthz beside twenty readers, who read {count.value} times", times, slow)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--binary", default=str(ROOT / "target/release/phasegate"))
    sys.exit(main(parser.parse_args()))
