#!/usr/bin/env python3
"""What the API's OpenAPI document promises, asked of a real host by schemathesis: thousands of requests, right and wrong.

Schemathesis is installed from the package registry into target/schemathesis, a virtual environment of its own. The host
runs on loopback with two instances and a driver that does nothing. No answer may be a 5xx, and each has to be as the
document says. Ends with 1 where one is not; bounded in time.

    tests/schemathesis.py [--seconds 180] [--binary target/release/phasegate]
"""

import argparse
import http.server
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = "schemathesis==4.32.5"
API, FIRST = 19_340, 19_341
# A stream has no end, and schemathesis makes no WebAssembly.
LEFT_OUT = ["/v1/events", "/v1/plugins/{name}/swap"]
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance"]


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


CONFIGURATION = f"""
[server]
listen = "127.0.0.1:{API}"
dataDir = "data"

[[scaleSets]]
name = "orders"
model = {{ version = "v1" }}
driver = {{ kind = "command", command = ["true"] }}

[scaleSets.health]
intervalInSeconds = 1

[[scaleSets.instances]]
id = "0"
address = "127.0.0.1:{FIRST}"

[[scaleSets.instances]]
id = "1"
address = "127.0.0.1:{FIRST + 1}"
"""


def installed():
    """The command, installed where it is not there yet."""
    folder = ROOT / "target" / "schemathesis"
    command = folder / "bin" / "st"
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", TOOL], check=True)
    return command


def is_ready():
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{API}/readyz", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def checked(command, seconds):
    """Runs the tool; gives whether all was well."""
    arguments = [command, "run", f"http://127.0.0.1:{API}/v1/openapi.json", "--checks", ",".join(CHECKS),
                 "--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--seed", "1", "--no-color",
                 "--request-timeout", "20", "--generation-database", "none", "--max-time", str(seconds)]
    for path in LEFT_OUT:
        arguments += ["--exclude-path", path]
    try:
        return subprocess.run(arguments, timeout=seconds + 60).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"schemathesis has not ended within {seconds} s", file=sys.stderr)
        return False


def main():
    wanted = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted.add_argument("--seconds", type=int, default=180)
    wanted.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/phasegate")
    wanted = wanted.parse_args()
    command = installed()
    for port in (FIRST, FIRST + 1):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Healthy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        pathlib.Path("phasegate.toml").write_text(CONFIGURATION)
        with open("log", "wb") as log:
            host = subprocess.Popen([wanted.binary.resolve(), "run"], stderr=log, stdout=log)
        try:
            until = time.monotonic() + 30
            while not is_ready() and time.monotonic() < until:
                time.sleep(0.1)
            well = checked(command, wanted.seconds)
            if host.poll() is not None:
                print(f"the host has ended: {pathlib.Path('log').read_text()[-2000:]}", file=sys.stderr)
                well = False
        finally:
            host.terminate()
            host.wait(60)
    os.chdir(ROOT)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
