#!/usr/bin/env python3
"""Answers for every PostgreSQL of this machine: GET /postgresql/PORT. A standby that streams is phase 0, a primary phase 1."""

import http.server
import json
import subprocess
import sys

QUESTION = "select pg_is_in_recovery(), exists (select from pg_stat_wal_receiver where status = 'streaming')"


def answer(port):
    """The state of one in the words of the application health extension."""
    psql = ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres", "-tAXc", QUESTION]
    said = subprocess.run(psql, capture_output=True, text=True, timeout=3, check=True).stdout.strip()
    standby, streams = said.split("|")
    metrics = {"rollingUpgrade": {"PhaseOrderingNumber": 0 if standby == "t" else 1, "SkipUpgrade": "false"}}
    state = "Healthy" if standby == "f" or streams == "t" else "Unhealthy"
    return {"ApplicationHealthState": state, "CustomMetrics": json.dumps(metrics)}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, body = 200, json.dumps(answer(int(self.path.rsplit("/", 1)[1])))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            status, body = 503, json.dumps({"error": str(error)})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
