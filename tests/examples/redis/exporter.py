#!/usr/bin/env python3
"""Answers for every Redis of this machine: GET /redis/PORT. A replica with its link up is phase 0, a leader phase 1."""

import http.server
import json
import socket
import sys


def info(port):
    """What `info replication` says, as a table."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"info replication\r\nquit\r\n")
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def answer(port):
    """The state of one in the words of the application health extension."""
    says = info(port)
    leads = says["role"] == "master"
    healthy = leads or says.get("master_link_status") == "up"
    metrics = {"rollingUpgrade": {"PhaseOrderingNumber": 1 if leads else 0, "SkipUpgrade": "false"}}
    state = "Healthy" if healthy else "Unhealthy"
    return {"ApplicationHealthState": state, "CustomMetrics": json.dumps(metrics)}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, body = 200, json.dumps(answer(int(self.path.rsplit("/", 1)[1])))
        except (OSError, KeyError, ValueError) as error:
            status, body = 503, json.dumps({"error": str(error)})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
