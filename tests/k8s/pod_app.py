"""The application of the pod simulation: items on 127.0.0.1:3000, which counts what it is asked.

At SIGTERM it goes on until the requests in flight are answered, as applications should.
GET /slow waits for a file named by the variable GATE, so that a test decides when it is answered.
"""

import http.server
import json
import os
import signal
import sys
import threading

items = {"1": {"name": "apple"}, "2": {"name": "pear"}}
lock = threading.Lock()
busy = 0
asked = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self):
        global busy
        self.raw_requestline = self.rfile.readline(65537)  # an idle connection is not in flight
        if not self.raw_requestline:
            self.close_connection = True
            return
        with lock:
            busy += 1
        try:
            if self.parse_request():
                getattr(self, "do_" + self.command, self.do_other)()
        finally:
            with lock:
                busy -= 1

    def say(self, status, value):
        body = (json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        global asked
        with lock:
            asked += 1
            number = asked
        if self.path == "/items":
            self.say(200, {"items": items, "asked": number})
        elif self.path.startswith("/items/"):
            item = items.get(self.path.rpartition("/")[2])
            self.say(200 if item else 404, {"item": item, "asked": number})
        elif self.path == "/slow":
            print("app: slow", flush=True)
            pause = threading.Event()
            while not os.path.exists(os.environ["GATE"]):
                pause.wait(0.01)
            self.say(200, {"slow": True, "asked": number})
        else:
            self.say(404, {"asked": number})

    def do_PUT(self):
        length = int(self.headers.get("Content-Length", 0))
        items[self.path.rpartition("/")[2]] = json.loads(self.rfile.read(length))
        self.say(200, {"written": self.path})

    def do_other(self):
        self.say(405, {})

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def main():
    host, _, port = os.environ.get("LISTEN", "127.0.0.1:3000").rpartition(":")
    server = Server((host, int(port)), Handler)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    print("app: listening", flush=True)
    ending.wait()
    print("app: draining", flush=True)
    while busy > 0:
        ending.clear()
        ending.wait(0.02)
    server.shutdown()
    print("app: stopped", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
