"""A headless Chromium, driven through its DevTools protocol over a pipe: no port, no driver, no npm.

Everything it may reach is loopback. It lives in a temporary directory, is bounded in time, and is
ended by process id. CHROMIUM names another binary.
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ANSWER_S = 60
POLL_S = 0.05
END_S = 20
# Sanitizers of the gateway's build are none of the browser's business.
FOREIGN = ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LD_PRELOAD")


def find():
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


class BrowserError(Exception):
    """The browser refused a command, ended, or did not answer."""


class Browser:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-browser-"))
        self._changed = threading.Condition()
        self._answers, self._number, self._ended = {}, 0, False
        self.events = []
        to_browser, self._commands = os.pipe()
        self._replies, from_browser = os.pipe()
        environment = {k: v for k, v in os.environ.items() if k not in FOREIGN}
        environment.update(HOME=str(self.directory), TMPDIR=str(self.directory), LANG="C.UTF-8", TZ="UTC")
        arguments = [
            find(), "--headless=new", "--remote-debugging-pipe", "--user-data-dir=%s" % (self.directory / "profile"),
            "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio", "--no-proxy-server",
            "--disable-default-apps", "--disable-breakpad", "--force-color-profile=srgb", "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "about:blank"]
        if os.geteuid() == 0:
            arguments.insert(1, "--no-sandbox")  # its sandbox refuses root
        command = ["bash", "-c", 'exec "$@" 3<&%d 4>&%d' % (to_browser, from_browser), "chromium", *arguments]
        self._log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(command, env=environment, pass_fds=(to_browser, from_browser),
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                                        start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.version = self.call("Browser.getVersion")["product"]
        except BaseException:
            self.close()
            raise

    def _read(self):
        rest = b""
        while True:
            try:
                piece = os.read(self._replies, 1 << 20)
            except OSError:
                piece = b""
            *whole, rest = (rest + piece).split(b"\0")
            with self._changed:
                for message in map(json.loads, whole):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self._ended = not piece
                self._changed.notify_all()
            if not piece:
                return

    def call(self, method, session=None, **parameters):
        """One command and its result."""
        with self._changed:
            self._number += 1
            number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        try:
            os.write(self._commands, json.dumps(message).encode() + b"\0")
        except OSError as error:
            raise BrowserError("the browser ended: %s\n%s" % (error, self.log())) from None
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._ended, ANSWER_S)
            answer = self._answers.pop(number, None)
        if answer is None:
            raise BrowserError("%s got no answer\n%s" % (method, self.log()))
        if "error" in answer:
            raise BrowserError("%s: %s" % (method, answer["error"]["message"]))
        return answer["result"]

    def log(self):
        return (self.directory / "log").read_bytes()[-4000:].decode(errors="replace")

    def page(self, **arguments):
        return Page(self, **arguments)

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)  # a group of its own: the helpers end too
            self.process.wait(END_S)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(END_S)
        os.close(self._commands)
        os.close(self._replies)
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Page:
    """One tab in a context of its own: nothing is shared with another."""

    def __init__(self, browser, width=1280, height=900, dark=False):
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(domain + ".enable")
        self.resize(width, height)
        self.set_dark(dark)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def set_dark(self, dark):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url):
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError("%s: %s" % (url, answer["errorText"]))
        self.wait("document.readyState === 'complete'")

    def value(self, expression):
        """What JavaScript says; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError("%s: %s" % (expression, details.get("exception", {}).get("description", details["text"])))
        return answer["result"].get("value")

    def wait(self, expression, timeout_s=30):
        """Until it is true. Returns its value."""
        deadline = time.monotonic() + timeout_s
        while True:
            value = self.value("(found => found instanceof Node || found)(%s)" % expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError("never true: %s; the page says:\n%s" % (
                    expression, self.value("document.body.innerText")))
            threading.Event().wait(POLL_S)

    def text(self, selector):
        return self.value("document.querySelector(%s).innerText" % json.dumps(selector))

    def table(self, selector):
        """The visible text of a table's body, row by row."""
        return self.value("[...document.querySelector(%s).tBodies[0].rows].map("
                          "row => [...row.cells].map(cell => cell.innerText.trim()))" % json.dumps(selector))

    def click(self, selector):
        """As a mouse does it: whatever lies there gets it."""
        x, y = self.value("(node => { node.scrollIntoView({block: 'center'}); const box = node.getBoundingClientRect();"
                          " return [box.left + box.width / 2, box.top + box.height / 2]; })"
                          "(document.querySelector(%s))" % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, key, code=0, text=""):
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra)

    def type(self, selector, text):
        """Into an emptied input."""
        self.click(selector)
        self.value("document.activeElement.select()")
        if text:
            self.call("Input.insertText", text=text)
        else:
            self.key("Delete", 46)

    def choose(self, selector, value):
        self.value("(node => { node.value = %s; node.dispatchEvent(new Event('change', {bubbles: true})); })"
                   "(document.querySelector(%s))" % (json.dumps(value), json.dumps(selector)))

    def events(self, method):
        return [event["params"] for event in list(self.browser.events)
                if event["method"] == method and event.get("sessionId") == self.session]

    def complaints(self):
        """Errors of the console, exceptions and violations of policy."""
        found = ["exception: %s" % event["exceptionDetails"].get("exception", {}).get("description", "?")
                 for event in self.events("Runtime.exceptionThrown")]
        found += ["console: %s" % [argument.get("value") for argument in event["args"]]
                  for event in self.events("Runtime.consoleAPICalled") if event["type"] in ("error", "warning", "assert")]
        found += ["%s: %s %s" % (entry["source"], entry["text"], entry.get("url", ""))
                  for entry in (event["entry"] for event in self.events("Log.entryAdded"))
                  if entry["level"] in ("error", "warning")]
        return found

    def requested(self):
        return [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]

    def screenshot(self):
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self):
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)
