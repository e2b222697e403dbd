#!/usr/bin/env python3
"""Runs what the documentation tells its readers to run.

Each page is one shell session in a copy of the tree's top level, in a network namespace of its own, so that the
ports a page names are free. In order:

    ```sh        runs; must end with status 0
    ```console   lines after `$ ` run; what stands between them must be what they print: any number matches any
                 number, a line `…` any lines, and `…` in a line any text
    ```yaml      is a rule file (it has `match:`) or a configuration (it has `listen:`) that `cachegate check` takes,
                 or a fragment of one, which is completed first

A comment before a block says what is otherwise: `<!-- test: background -->` (runs until the page ends; goes on when
its log says `ready`), `<!-- test: skip: REASON -->` (said aloud), `<!-- test: file NAME -->` (saved under this name
for what follows). `<!-- test: demo PORT -->` and `<!-- test: redis PORT -->` start what the page supposes.
"""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
GATEWAY = pathlib.Path(os.environ.get("CACHEGATE") or TREE / "build" / "dev" / "cachegate").resolve()
PAGES = sorted(str(path.relative_to(TREE)) for path in
               [TREE / "README.md", TREE / "rules" / "README.md", TREE / "k8s" / "README.md",
                *(TREE / "docs").glob("*.md"), *(TREE / "conf" / "examples").glob("*/README.md"),
                *(TREE / "conf" / "monitoring").glob("README.md")])
LANGUAGES = ("sh", "console", "yaml", "json", "text", "promql", "")
BLOCK_S = 120
PAGE_PORTS_HELP = "unshare -n needs root or CAP_SYS_ADMIN"


class Block:
    def __init__(self, language, text, line, directive):
        self.language, self.text, self.line, self.directive = language, text, line, directive


def blocks_of(page):
    """The fenced blocks of a page, and directives that stand alone, in order."""
    found, directive, fence, lines, start = [], "", None, [], 0
    for number, line in enumerate((TREE / page).read_text().split("\n"), 1):
        if fence is not None:
            if line.strip() == "```":
                found.append(Block(fence, "\n".join(lines) + "\n", start, directive))
                fence, directive = None, ""
            else:
                lines.append(line)
            continue
        said = re.match(r"<!-- test: (.*) -->$", line.strip())
        opened = re.match(r"\s*```(\w*)$", line)
        if opened:
            fence, lines, start = opened.group(1), [], number
        elif said and re.match(r"(demo|redis) \d+$", said.group(1)):
            found.append(Block("start", said.group(1), number, ""))
        elif said:
            directive = said.group(1)
        elif line.strip():
            directive = ""
    if fence is not None:
        raise AssertionError("%s:%d: this block does not end" % (page, start))
    return found


def pattern_of(expected):
    """A regular expression for what a console block shows."""
    parts = []
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() in ("…", "..."):
            parts.append(r"(?:.*\n)*?")
            continue
        text = re.escape(line.rstrip()).replace("…", ".*")
        parts.append(re.sub(r"\d+(?:\\\.\d+)?", r"\\d+(?:\\.\\d+)?", text) + r"[ \t\r]*\n")
    return "".join(parts)


def commands_of(console):
    """[(command, what it prints)] of a console block."""
    found, lines = [], console.rstrip("\n").split("\n")
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            raise AssertionError("a console block begins with `$ `, not with %r" % line)
        command = line[2:]
        while command.endswith("\\") and lines:
            command += "\n" + lines.pop(0)
        shown = []
        while lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        found.append((command, "\n".join(shown)))
    return found


class Session:
    """One shell, fed block by block."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-docs-"))
        self.count = 0
        tree = self.directory / "tree"
        tree.mkdir()
        for entry in TREE.iterdir():
            if entry.name not in ("build", ".git"):
                (tree / entry.name).symlink_to(entry)
        (tree / "build" / "release").mkdir(parents=True)
        (tree / "build" / "release" / "cachegate").symlink_to(GATEWAY)
        # `cachegate` alone is what a reader has after installing.
        (self.directory / "bin").mkdir()
        (self.directory / "bin" / "cachegate").symlink_to(GATEWAY)
        variables = {name: value for name, value in os.environ.items()
                     if not name.startswith("CACHEGATE") and not name.lower().endswith("_proxy")}
        variables.update(PATH="%s:%s" % (self.directory / "bin", variables["PATH"]), NO_PROXY="*",
                         HOME=str(self.directory), TMPDIR=str(self.directory))
        self.shell = subprocess.Popen(
            ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"], cwd=tree, env=variables,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.run("ip link set lo up")

    def run(self, text, background=False):
        """Sources the text. Returns (status, output); for the background (0, output so far) once it is ready."""
        self.count += 1
        script, output, status = (self.directory / ("%d.%s" % (self.count, kind)) for kind in ("sh", "out", "status"))
        script.write_text(text)
        names = tuple(shlex.quote(str(path)) for path in (script, output, status))
        line = "{ . %s; } >%s 2>&1 &\n" % names[:2] if background else \
            "{ . %s; } >%s 2>&1 </dev/null; echo $? >%s.new; mv %s.new %s\n" % (*names[:2], names[2], names[2], names[2])
        self.shell.stdin.write(line.encode())
        self.shell.stdin.flush()
        deadline = time.monotonic() + BLOCK_S
        while time.monotonic() < deadline:
            said = output.read_text(errors="replace") if output.exists() else ""
            if background and re.search(r"\bready\b|listening on|Ready to accept", said):
                return 0, said
            if not background and status.exists():
                return int(status.read_text()), said
            if self.shell.poll() is not None:
                raise AssertionError("the shell ended\n" + said)
            time.sleep(0.02)
        raise AssertionError("not done after %d s:\n%s\n%s"
                             % (BLOCK_S, text, output.read_text(errors="replace") if output.exists() else ""))

    def close(self):
        self.shell.stdin.close()
        os.killpg(self.shell.pid, signal.SIGKILL)  # unshare, and with it the whole namespace
        self.shell.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def as_rules(text):
    """A fragment of a rule file, made whole."""
    if re.search(r"^\s*- match:", text, re.M) and not re.search(r"^routes:", text, re.M):
        text = "routes:\n" + text
    elif re.match(r"\s+\w", text):
        text = "routes:\n  - match: GET /an-example\n" + text
    if not re.search(r"^routes:", text, re.M):
        text += "routes: []\n"
    if not re.search(r"^defaults:.*ttl|^defaults:\s*$", text, re.M):
        text = re.sub(r"^defaults: *\{ *", "defaults: { ttl: 5m, ", text, flags=re.M) \
            if re.search(r"^defaults:", text, re.M) else "defaults: { ttl: 5m }\n" + text
    return text


class Pages(unittest.TestCase):
    def check_yaml(self, session, block):
        if re.search(r"^(listen|admin|store|upstreams?|identity|log|limits|warm|tls|reload):", block.text, re.M):
            text = block.text
            if "listen:" not in text.split("\n", 1)[0] and not re.search(r"^listen:", text, re.M):
                text = "listen: 127.0.0.1:0\n" + text
            if not re.search(r"^upstreams?:", text, re.M):
                text += "upstream: http://127.0.0.1:8000\n"
            command = "cachegate check -c"
        elif re.search(r"\bmatch:|^groups:|^defaults:", block.text, re.M) or re.match(r"    \w", block.text):
            text = as_rules(block.text)
            names = ["default", *re.findall(r"^ +upstream: (\w+)$", text, re.M)]
            around = session.directory / "around.yaml"
            around.write_text("listen: :0\nidentity: [{ header: X-User, name: user }]\nupstreams: { %s }\n"
                              % ", ".join(name + ": http://127.0.0.1:8000" for name in names))
            command = "cachegate check -c %s --rules" % around
        else:
            raise AssertionError("neither rules nor a configuration:\n" + block.text)
        (session.directory / "block.yaml").write_text(text)
        status, said = session.run("%s %s" % (command, session.directory / "block.yaml"))
        self.assertEqual(status, 0, "%s\n%s" % (text, said))

    def check_console(self, session, block):
        for command, shown in commands_of(block.text):
            status, said = session.run(command)
            if shown:
                self.assertRegex(said.replace("\r", "").rstrip("\n") + "\n", r"\A%s\Z" % pattern_of(shown),
                                 "%s does not print what the page shows" % command)
            else:
                self.assertEqual(status, 0, "%s\n%s" % (command, said))

    def start(self, session, what, port):
        if what == "demo":
            session.run("python3 conf/demo/finance.py --rows 2000 --listen 127.0.0.1:%s" % port, background=True)
        else:
            session.run("redis-server --port %s --save '' --appendonly no --dir %s"
                        % (port, session.directory), background=True)

    def take(self, session, block):
        if block.language == "start":
            self.start(session, *block.text.split())
        elif block.directive.startswith("skip: "):
            print("SKIPPED line %d: %s" % (block.line, block.directive[6:]), file=sys.stderr)
        elif block.directive.startswith("file "):
            (session.directory / "tree" / block.directive[5:]).write_text(block.text)
        if block.language == "start" or block.directive.startswith("skip: "):
            return
        if block.language == "sh":
            status, said = session.run(block.text, background=block.directive == "background")
            self.assertEqual(status, 0, block.text + said)
        elif block.language == "console":
            self.check_console(session, block)
        elif block.language == "yaml":
            self.check_yaml(session, block)

    def page(self, name):
        blocks = blocks_of(name)
        for block in blocks:
            self.assertIn(block.language, LANGUAGES + ("start",), "%s:%d" % (name, block.line))
        session = Session()
        try:
            for block in blocks:
                with self.subTest(place="%s:%d" % (name, block.line)):
                    self.take(session, block)
        finally:
            session.close()

    def test_links(self):
        """What a page links to is there, headings too."""
        def anchor(heading):
            return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

        for page in PAGES:
            path = TREE / page
            text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if "://" in target:
                    continue
                file, _, name = target.partition("#")
                where = (path.parent / file).resolve() if file else path
                with self.subTest(page=page, link=target):
                    self.assertTrue(where.exists(), "there is no %s" % where)
                    if name:
                        self.assertIn(name, [anchor(line.lstrip("# ")) for line in where.read_text().split("\n")
                                             if line.startswith("#")])


    def test_metrics(self):
        """The metrics that a page names are counted."""
        known = set(re.findall(r"^\| `(\w+)`", (TREE / "conf" / "METRICS.md").read_text(), re.M))
        for page in PAGES:
            for name in re.findall(r"\bcachegate_[a-z_]+\b", (TREE / page).read_text()):
                with self.subTest(page=page, metric=name):
                    self.assertIn(re.sub("_(bucket|count|sum)$", "", name), known)


def may_unshare():
    return subprocess.run(["unshare", "--net", "--pid", "--fork", "--mount-proc", "ip", "link", "set", "lo", "up"],
                          capture_output=True).returncode == 0


def add_pages():
    able = may_unshare()
    for page in PAGES:
        def test(self, page=page):
            if not able:
                self.skipTest(PAGE_PORTS_HELP)
            self.page(page)
        name = "test_" + re.sub(r"\W+", "_", page.lower().removesuffix(".md"))
        test.__doc__ = page
        setattr(Pages, name, test)


add_pages()
if __name__ == "__main__":
    unittest.main()
