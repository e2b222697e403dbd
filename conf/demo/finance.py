#!/usr/bin/env python3
"""finance: the application that the quickstart puts cachegate in front of.

An ordinary small API over SQLite, as somebody would write it: transactions of import sessions, summaries,
categorisation rules. It knows nothing of a cache. Its summaries are slow for an honest reason: they rank and
accumulate over all rows, without an index that would help. Users are told apart by their Authorization header.

    GET  /sessions                              GET /rules
    GET  /transactions?session_id=&category=&page=
    GET  /summary?session_id=                   GET /category-summary?session_id=
    PUT  /transactions/{id}      {"category": …}              → the transaction, with its session_id
    POST /bulk-categorise        {"session_id": …, "merchant": …, "category": …}
"""

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USERS = ("alice", "bob", "carol", "dave")
SESSIONS_PER_USER = 10
PAGE_ROWS = 50
CATEGORIES = ("groceries", "rent", "travel", "salary", "health", "leisure", "uncategorised")
MERCHANTS = tuple("merchant-%02d" % number for number in range(40))
BODY_BYTES_MAX = 1 << 20


class Refused(Exception):
    """An answer that is not 200: status and a sentence."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


def make_database(path, rows):
    """Fills the database; the same rows at every start."""
    chance = random.Random(7)
    sessions = ["%s-%02d" % (user, number) for user in USERS for number in range(SESSIONS_PER_USER)]
    connection = sqlite3.connect(path)
    connection.executescript("""
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = OFF;
        CREATE TABLE sessions (id TEXT PRIMARY KEY, owner TEXT, imported_on TEXT);
        CREATE TABLE transactions (id INTEGER PRIMARY KEY, session_id TEXT, day INTEGER,
                                   merchant TEXT, amount_cents INTEGER, category TEXT);
        CREATE TABLE rules (id INTEGER PRIMARY KEY, owner TEXT, merchant TEXT, category TEXT);
    """)
    connection.executemany("INSERT INTO sessions VALUES (?, ?, ?)", (
        (session, session.split("-")[0], "2026-%02d-01" % (1 + number % 12))
        for number, session in enumerate(sessions)))
    connection.executemany("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?)", (
        (number, sessions[number % len(sessions)], chance.randrange(365),
         chance.choice(MERCHANTS), chance.randrange(-20000, 15000), chance.choice(CATEGORIES))
        for number in range(1, rows + 1)))
    connection.executemany("INSERT INTO rules (owner, merchant, category) VALUES (?, ?, ?)", (
        (user, merchant, CATEGORIES[number % len(CATEGORIES)])
        for user in USERS for number, merchant in enumerate(MERCHANTS)))
    connection.commit()
    connection.close()


class Finance:
    """The application: one method per endpoint, plain SQL."""

    def __init__(self, path):
        self.path = path
        self.local = threading.local()
        self.writing = threading.Lock()

    def database(self):
        if not hasattr(self.local, "connection"):
            self.local.connection = sqlite3.connect(self.path, timeout=30)
            self.local.connection.row_factory = sqlite3.Row
        return self.local.connection

    def rows(self, query, *values):
        return [dict(row) for row in self.database().execute(query, values)]

    def change(self, query, *values):
        with self.writing, self.database() as connection:
            return connection.execute(query, values).rowcount

    def session_of(self, user, parameters):
        session = parameters.get("session_id")
        if not session:
            raise Refused(400, "session_id is missing")
        if not self.rows("SELECT 1 FROM sessions WHERE id = ? AND owner = ?", session, user):
            raise Refused(404, "you have no session %s" % session)
        return session

    def sessions(self, user, _):
        return {"sessions": self.rows("""
            SELECT s.id, s.imported_on, count(t.id) AS transactions, sum(t.amount_cents) AS balance_cents,
                   sum(t.category = 'uncategorised') AS uncategorised
            FROM sessions s JOIN transactions t ON t.session_id = s.id
            WHERE s.owner = ? GROUP BY s.id ORDER BY s.id""", user)}

    def rules(self, user, _):
        return {"rules": self.rows("SELECT merchant, category FROM rules WHERE owner = ?", user)}

    def transactions(self, user, parameters):
        session = self.session_of(user, parameters)
        try:
            page = max(1, int(parameters.get("page", "1")))
        except ValueError:
            raise Refused(400, "page must be a number") from None
        # Each row shows how it compares with everything ever paid to the same merchant.
        found = self.rows("""
            WITH ranked AS (
                SELECT *, percent_rank() OVER (PARTITION BY merchant ORDER BY amount_cents) AS rank_at_merchant
                FROM transactions)
            SELECT * FROM ranked WHERE session_id = ? AND (? IS NULL OR category = ?)
            ORDER BY day, id LIMIT ? OFFSET ?""", session, parameters.get("category"),
            parameters.get("category"), PAGE_ROWS, (page - 1) * PAGE_ROWS)
        return {"session_id": session, "page": page, "transactions": found}

    def summary(self, user, parameters):
        session = self.session_of(user, parameters)
        found = self.rows("""
            WITH running AS (
                SELECT session_id, amount_cents, category,
                       sum(amount_cents) OVER (PARTITION BY session_id ORDER BY day, id) AS balance,
                       avg(amount_cents) OVER (PARTITION BY merchant) AS usual
                FROM transactions)
            SELECT count(*) AS transactions, sum(amount_cents) AS total_cents, min(balance) AS lowest_cents,
                   max(balance) AS highest_cents, sum(category = 'uncategorised') AS uncategorised,
                   sum(abs(amount_cents) > 3 * abs(usual)) AS unusual
            FROM running WHERE session_id = ?""", session)
        return {"session_id": session, **found[0]}

    def category_summary(self, user, parameters):
        session = self.session_of(user, parameters)
        found = self.rows("""
            WITH shares AS (
                SELECT session_id, category, amount_cents,
                       cume_dist() OVER (PARTITION BY category ORDER BY amount_cents) AS standing
                FROM transactions)
            SELECT category, count(*) AS transactions, sum(amount_cents) AS total_cents,
                   round(avg(standing), 4) AS average_standing
            FROM shares WHERE session_id = ? GROUP BY category ORDER BY category""", session)
        return {"session_id": session, "categories": found}

    def update_transaction(self, user, number, body):
        category = body.get("category")
        if category not in CATEGORIES:
            raise Refused(400, "category must be one of: " + ", ".join(CATEGORIES))
        changed = self.change("""
            UPDATE transactions SET category = ? WHERE id = ? AND session_id IN
            (SELECT id FROM sessions WHERE owner = ?)""", category, number, user)
        if not changed:
            raise Refused(404, "you have no transaction %d" % number)
        return self.rows("SELECT * FROM transactions WHERE id = ?", number)[0]

    def bulk_categorise(self, user, body):
        session = self.session_of(user, body)
        if body.get("category") not in CATEGORIES:
            raise Refused(400, "category must be one of: " + ", ".join(CATEGORIES))
        changed = self.change("UPDATE transactions SET category = ? WHERE session_id = ? AND merchant = ?",
                              body["category"], session, body.get("merchant", ""))
        return {"changed": changed}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one write

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self):
        self.respond(self.route_read)

    def do_PUT(self):
        self.respond(self.route_write)

    def do_POST(self):
        self.respond(self.route_write)

    def user(self):
        match = re.fullmatch(r"Bearer (\w+)", self.headers.get("Authorization", ""))
        if not match or match.group(1) not in USERS:
            raise Refused(401, "send Authorization: Bearer NAME, where NAME is one of: " + ", ".join(USERS))
        return match.group(1)

    def route_read(self):
        finance = self.server.finance
        path, _, query = self.path.partition("?")
        endpoint = {"/sessions": finance.sessions, "/rules": finance.rules,
                    "/transactions": finance.transactions, "/summary": finance.summary,
                    "/category-summary": finance.category_summary}.get(path)
        if endpoint is None:
            raise Refused(404, "there is no " + path)
        return endpoint(self.user(), dict(urllib.parse.parse_qsl(query)))

    def route_write(self):
        body = self.body()
        match = re.fullmatch(r"/transactions/(\d{1,12})", self.path)
        if self.command == "PUT" and match:
            return self.server.finance.update_transaction(self.user(), int(match.group(1)), body)
        if self.command == "POST" and self.path == "/bulk-categorise":
            return self.server.finance.bulk_categorise(self.user(), body)
        raise Refused(404, "there is no %s %s" % (self.command, self.path))

    def body(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            raise Refused(413, "the body must have a length of at most %d bytes" % BODY_BYTES_MAX)
        try:
            value = json.loads(self.rfile.read(int(length)))
        except ValueError:
            raise Refused(400, "the body is no JSON") from None
        if not isinstance(value, dict):
            raise Refused(400, "the body must be a JSON object")
        return value

    def respond(self, route):
        try:
            status, value = 200, route()
        except Refused as refused:
            status, value = refused.status, {"error": str(refused)}
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main():
    arguments = argparse.ArgumentParser(description="A finance API without a cache: the quickstart's upstream.")
    arguments.add_argument("--listen", default="127.0.0.1:8000", metavar="HOST:PORT",
                           help="where to listen; port 0 picks one (default %(default)s)")
    arguments.add_argument("--rows", type=int, default=200_000, help="transactions to make (default %(default)s)")
    options = arguments.parse_args()
    host, _, port = options.listen.rpartition(":")
    if not port.isdigit() or options.rows < 1:
        arguments.error("--listen takes HOST:PORT, --rows a number above 0")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="finance-demo-") as directory:
        path = os.path.join(directory, "finance.sqlite")
        make_database(path, options.rows)
        try:
            server = Server((host or "127.0.0.1", int(port)), Handler)
        except OSError as error:
            sys.exit("finance: cannot listen on %s: %s; choose another --listen" % (options.listen, error.strerror))
        server.finance = Finance(path)
        print("listening on http://%s:%d" % server.server_address[:2], flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()


if __name__ == "__main__":
    main()
