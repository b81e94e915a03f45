"""An S3-speaking server (moto's) in a process of its own, that counts requests and answers 503 now and then.

    python s3_server.py PORT

``POST /_behave {"share": 0.1, "seed": 1}`` says which share of the requests gets a 503; ``GET /_counts`` what was asked so far.
"""

import json
import random
import sys
import threading
from collections import Counter

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUSY = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'


class Moody:
    def __init__(self, app):
        self.app, self.lock = app, threading.Lock()
        self.share, self.dice, self.counts = 0.0, random.Random(0), Counter()

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/_behave":
            told = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            with self.lock:
                self.share, self.dice = told["share"], random.Random(told.get("seed", 0))
                self.counts.clear()
            return self.answer(start_response, "200 OK", b"{}")
        if path == "/_counts":
            return self.answer(start_response, "200 OK", json.dumps(self.counts).encode())
        with self.lock:
            refused = self.dice.random() < self.share
            self.counts[f"{method} {'503' if refused else ' '.join(path.split('/')[2:4])}"] += 1
        if refused:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return self.answer(start_response, "503 Slow Down", b"" if method == "HEAD" else BUSY)
        return self.app(environ, start_response)

    @staticmethod
    def answer(start_response, status, body):
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]


if __name__ == "__main__":
    moody = Moody(DomainDispatcherApplication(create_backend_app))
    make_server("127.0.0.1", int(sys.argv[1]), moody, threaded=True).serve_forever()
