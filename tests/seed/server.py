"""The three sample applications of the custom-metrics documentation, on a port of one's choice.

usage: server.py --port PORT --version VERSION --sample phase|skip|combined [--text]

Each answers every GET with 200 and the JSON of its sample: the Bash samples send CustomMetrics as
an object, the PowerShell samples (--text) as a string that holds JSON.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

SAMPLES = {
    "phase": {"PhaseOrderingNumber": 0},
    "skip": {"SkipUpgrade": "true"},
    "combined": {"PhaseOrderingNumber": 1, "SkipUpgrade": "false"},
}


def answer(sample, as_text):
    metrics = {"RollingUpgrade": SAMPLES[sample]}
    if as_text:
        metrics = json.dumps(metrics, indent=4)
    return json.dumps({"ApplicationHealthState": "Healthy", "CustomMetrics": metrics})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--sample", choices=SAMPLES, required=True)
    parser.add_argument("--text", default="no")
    args = parser.parse_args()
    body = answer(args.sample, args.text == "yes").encode("utf-8")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-type", "application/json")
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer(("127.0.0.1", args.port), Handler)
    print(f"serving sample {args.sample} {args.version} on port {args.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
