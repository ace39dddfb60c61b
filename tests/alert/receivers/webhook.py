#!/usr/bin/python3
"""A web server that writes down what it is asked and what is posted to it, one JSON object a line.

Prints its port once it listens. Answers (STATUS or STATUS:TEXT) are given in order; the last one goes on
for ever.
"""

import argparse
import json
import ssl
from http.server import BaseHTTPRequestHandler, HTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("record")
parser.add_argument("--answers", default="200")
parser.add_argument("--retry-after")
parser.add_argument("--certificate")
parser.add_argument("--key")
args = parser.parse_args()
answers = args.answers.split(",")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_json = self.headers["Content-Type"].startswith("application/json")
        self.answer(json.loads(body) if is_json else body.decode())

    def answer(self, body):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        status, _, text = answer.partition(":")
        with open(args.record, "a", encoding="utf-8") as file:
            entry = {
                "method": self.command,
                "path": self.path,
                "status": int(status),
                "type": self.headers["Content-Type"],
                "authorization": self.headers["Authorization"],
                "body": body,
            }
            print(json.dumps(entry), file=file)
        self.send_response(int(status))
        if int(status) == 429 and args.retry_after:
            self.send_header("Retry-After", args.retry_after)
        if 300 <= int(status) < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
if args.certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.certificate, args.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
