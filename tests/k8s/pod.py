"""A pod without a cluster: the sidecar demo's application and gateway in one network namespace.

What k8s/overlays/sidecar-demo says is run as it says: the container's arguments, environment, user,
capabilities, read-only root, probes and hooks come from the manifests (by kubectl where there is one,
else from the sources), files from its ConfigMaps and Secrets with /etc/cachegate moved into a temporary
root. ConfigMaps are changed in the order in which kubelet does it. Needs root, for the namespace.

Not simulated: images, Services and endpoints, DNS (a line in /etc/hosts), NetworkPolicies, seccomp.
"""

import os
import pathlib
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import yaml

TREE = pathlib.Path(__file__).resolve().parents[2]
OVERLAY = TREE / "k8s" / "overlays" / "sidecar-demo"
COMPONENT = TREE / "k8s" / "components" / "sidecar"
CONFIG = "/etc/cachegate"
USER = 65532
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Unavailable(Exception):
    """Why no pod can be made here."""


# ---- what the manifests say ----

def kustomized():
    done = subprocess.run(["kubectl", "kustomize", str(OVERLAY)], capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout)) if done.returncode == 0 else None


def merged():
    """Without a kubectl: the sources, put together for this one overlay."""
    deployment, service = yaml.safe_load_all((OVERLAY / "app.yaml").read_text())
    patch = yaml.safe_load((COMPONENT / "patch.yaml").read_text())["spec"]["template"]["spec"]
    deployment["spec"]["template"]["spec"].update(patch)
    secrets = dict(line.split("=", 1) for line in (OVERLAY / "secrets.env").read_text().split())
    rules = {path.name: path.read_text() for path in sorted((OVERLAY / "rules").glob("*.yaml"))}
    return [deployment, service, {"kind": "Secret", "stringData": secrets},
            {"kind": "ConfigMap", "metadata": {"name": "cachegate-rules"}, "data": rules},
            {"kind": "ConfigMap", "metadata": {"name": "cachegate-sidecar"},
             "data": {"cachegate.yaml": (COMPONENT / "cachegate.yaml").read_text()}}]


class Manifests:
    def __init__(self):
        found = (kustomized() if shutil.which("kubectl") else None) or merged()
        spec = next(one for one in found if one["kind"] == "Deployment"
                    and one["metadata"]["name"] == "items")["spec"]["template"]["spec"]
        self.gateway = next(one for one in spec["initContainers"] if one["name"] == "cachegate")
        (self.app,) = spec["containers"]
        maps = {one["metadata"]["name"]: one["data"] for one in found if one["kind"] == "ConfigMap"}
        self.rules = maps["cachegate-rules"]
        self.config = next(data for name, data in maps.items() if name.startswith("cachegate-sidecar"))
        self.secrets = dict(line.split("=", 1) for line in (OVERLAY / "secrets.env").read_text().split())

    def port(self, name):
        return next(one["containerPort"] for one in self.gateway["ports"] if one["name"] == name)

    def memory_bytes(self):
        text = self.gateway["resources"]["limits"]["memory"]
        return int(text[:-2]) << {"Ki": 10, "Mi": 20, "Gi": 30}[text[-2:]]


# ---- files as kubelet writes them ----

def publish(folder, files):
    """New contents of a volume, in the order of kubelet's AtomicWriter: one rename changes all."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(prefix="..", dir=folder))
    fresh.chmod(0o755)
    for name, text in files.items():
        (fresh / name).write_text(text)
    data, before = folder / "..data", None
    if data.is_symlink():
        before = folder / os.readlink(data)
    (folder / "..data_tmp").symlink_to(fresh.name)
    os.rename(folder / "..data_tmp", data)
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to("..data/" + name)
    for path in folder.iterdir():
        if path.is_symlink() and not path.name.startswith("..") and path.name not in files:
            path.unlink()
    if before is not None:
        shutil.rmtree(before)


# ---- processes ----

class Process:
    """A container: a process of the pod, and the lines that it wrote."""

    def __init__(self, command, environment, name):
        self.name = name
        self.lines = []
        self._news = queue.Queue()
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                                        start_new_session=True)  # Ctrl-C is the caller's
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._news.put(None)
        self._news.put(None)

    def wait_line(self, text, timeout_s=60):
        until = time.monotonic() + timeout_s
        while True:
            found = next((line for line in self.lines if text in line), None)
            if found is not None:
                return found
            if time.monotonic() > until or (self.process.poll() is not None and self._news.empty()
                                            and not self._reader.is_alive()):
                raise AssertionError("%s did not say %r:\n%s" % (self.name, text, "\n".join(self.lines)))
            try:
                self._news.get(timeout=0.2)
            except queue.Empty:
                pass

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s=60):
        status = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        self.process.stdout.close()


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable("`%s` failed: %s" % (" ".join(command), (done.stderr or done.stdout).strip()))
    return done.stdout


class Cgroup:
    """A memory limit where one can be made; `path` is None where not."""

    def __init__(self, name, limit_bytes):
        self.path = None
        for parent, file in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                             ("/sys/fs/cgroup", "memory.max")):
            path = pathlib.Path(parent) / name
            try:
                path.mkdir()
                (path / file).write_text(str(limit_bytes))
                self.path = path
                return
            except OSError:
                if path.is_dir():
                    path.rmdir()

    def close(self):
        if self.path is not None:
            self.path.rmdir()


class Pod:
    """`with Pod(binary) as pod`: the namespace, Redis beside it, and files; nothing runs in it yet."""

    def __init__(self, binary):
        self.manifests = Manifests()
        self.name = "cachegate-%d-%d" % (os.getpid(), random.randrange(1000))
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-pod-"))
        self.containers = []
        self._undo = [lambda: shutil.rmtree(self.root, ignore_errors=True)]
        try:
            self._check_machine()
            self._make_network()
            self._make_files(binary)
            self._start_redis()
            self.cgroup = Cgroup(self.name, self.manifests.memory_bytes())
            self._undo.append(self.cgroup.close)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for container in self.containers:
            container.close()
        for undo in reversed(self._undo):
            undo()
        self._undo = []

    def _check_machine(self):
        if os.geteuid() != 0:
            raise Unavailable("a network namespace needs root: sudo")
        for program in ("ip", "nsenter", "setpriv", "unshare", "redis-server"):
            if shutil.which(program) is None:
                raise Unavailable("%s is not installed: `apt-get install redis-server iproute2 util-linux`" % program)

    def _make_network(self):
        run("ip", "netns", "add", self.name)
        self._undo.append(lambda: run("ip", "netns", "del", self.name))
        net = "169.254.%d.%d" % (random.randrange(1, 255), 4 * random.randrange(64))
        base = net.rpartition(".")
        self.node_ip = "%s.%d" % (base[0], int(base[2]) + 1)
        self.ip = "%s.%d" % (base[0], int(base[2]) + 2)
        outside = "cg%d" % (os.getpid() % 1000000)
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "addr", "add", self.node_ip + "/30", "dev", outside)
        run("ip", "link", "set", outside, "up")
        for words in (["link", "set", "lo", "up"], ["addr", "add", self.ip + "/30", "dev", "eth0"],
                      ["link", "set", "eth0", "up"]):
            run("ip", "-n", self.name, *words)

    def _make_files(self, binary):
        self.root.chmod(0o755)
        etc = self.root / CONFIG.lstrip("/")
        publish(etc / "config", {name: self._moved(text) for name, text in self.manifests.config.items()})
        self.publish_rules(self.manifests.rules)
        publish(etc / "secrets", {key: self.manifests.secrets[key] for key in ("secret", "admin-token")})
        for path in (etc / "secrets").rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.chown(path, 0, USER)
                path.chmod(0o440)
        self.binary = self.root / "usr" / "bin" / "cachegate"
        self.binary.parent.mkdir(parents=True)
        shutil.copy(binary, self.binary)
        shutil.copy(pathlib.Path(__file__).with_name("pod_app.py"), self.root / "app.py")
        self.gate = self.root / "gate"  # GET /slow is answered when it exists
        hosts = "127.0.0.1 localhost\n%s cachegate-redis\n" % self.node_ip
        (self.root / "hosts").write_text(hosts)

    def _moved(self, text):
        return text.replace(CONFIG, str(self.root) + CONFIG)

    def _start_redis(self):
        """The Service `cachegate-redis`: on the node, outside of the pod."""
        redis = subprocess.Popen(
            ["redis-server", "--bind", self.node_ip, "--port", "6379", "--save", "", "--appendonly", "no",
             "--requirepass", self.manifests.secrets["redis-password"], "--dir", str(self.root)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        self._undo.append(lambda: (redis.terminate(), redis.wait(10)))

    def publish_rules(self, files):
        """What `kubectl apply` of the rules' ConfigMap comes to on the node."""
        publish(self.root / CONFIG.lstrip("/") / "rules", files)

    # ---- containers ----

    def _enter(self, container, command, cgroup=None):
        """Into the pod's network, on a read-only root, with the user and capabilities of the manifest."""
        security = container["securityContext"]
        script = 'mount --bind "$1" /etc/hosts; shift; '
        if cgroup is not None:
            script += "echo $$ >%s/cgroup.procs; " % cgroup
        if security["readOnlyRootFilesystem"]:
            script += ("for at in / /tmp /var /run /dev/shm; do "
                       "mount -o remount,bind,ro $at 2>/dev/null || true; done; ")
        script += 'exec "$@"'
        privileges = ["setpriv", "--reuid", str(security.get("runAsUser", USER)),
                      "--regid", str(security.get("runAsGroup", USER)), "--clear-groups"]
        if not security["allowPrivilegeEscalation"]:
            privileges.append("--no-new-privs")
        if security["capabilities"]["drop"] == ["ALL"]:
            privileges += ["--inh-caps=-all", "--bounding-set=-all"]
        # Not `ip netns exec`, which hides control groups. All of these only exec: one process id.
        return ["nsenter", "--net=/run/netns/" + self.name, "unshare", "--mount", "--propagation",
                "private", "sh", "-euc", script, "sh", str(self.root / "hosts"), *privileges, *command]

    def _environment(self, container):
        environment = {"PATH": "/usr/bin:/bin"}
        for one in container.get("env", []):
            value = one.get("value")
            if value is None:
                value = self.manifests.secrets[one["valueFrom"]["secretKeyRef"]["key"]]
            environment[one["name"]] = value
        return environment

    def _moved_command(self, command):
        return [str(self.binary)] + [self._moved(argument) for argument in command]

    def start_gateway(self):
        container = self.manifests.gateway
        command = self._enter(container, self._moved_command(container["args"]), self.cgroup.path)
        self.gateway = Process(command, self._environment(container), "cachegate")
        self.containers.append(self.gateway)

    def start_app(self):
        container = self.manifests.app
        command = self._enter(container, [sys.executable, "-I", str(self.root / "app.py")])
        self.app = Process(command, dict(self._environment(container), GATE=str(self.gate)), "app")
        self.containers.append(self.app)
        self.app.wait_line("listening")

    def execute(self, *arguments):
        """`kubectl exec` of the gateway's program: (status, output)."""
        command = self._enter(self.manifests.gateway, self._moved_command(arguments))
        done = subprocess.run(command, env=self._environment(self.manifests.gateway), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.returncode, done.stdout

    # ---- kubelet ----

    def probe(self, name):
        """The status that a probe of the manifest gets; 0 for no answer."""
        wanted = self.manifests.gateway[name]["httpGet"]
        return self.ask(wanted["path"], port=self.manifests.port(wanted["port"]))[0]

    def wait_probe(self, name, status=200, timeout_s=60):
        until = time.monotonic() + timeout_s
        while self.probe(name) != status:
            if time.monotonic() > until or self.gateway.process.poll() is not None:
                raise AssertionError("%s never answered %d:\n%s"
                                     % (name, status, "\n".join(self.gateway.lines)))
            time.sleep(0.02)  # as kubelet: a probe can only be asked again

    def run_pre_stop(self, container="gateway"):
        """The hook of the manifest, if there is one to be executed."""
        hook = getattr(self.manifests, container).get("lifecycle", {}).get("preStop", {})
        if "exec" not in hook:
            return None
        return self.execute(*hook["exec"]["command"][1:])

    # ---- clients ----

    def url(self, port="gate-http"):
        return "http://%s:%d" % (self.ip, self.manifests.port(port))

    def ask(self, path, method="GET", body=None, headers=None, port=None):
        """(status, fields, body) from outside of the pod; status 0 when the connection failed."""
        port = port or self.manifests.port("gate-http")
        request = urllib.request.Request("http://%s:%d%s" % (self.ip, port, path), data=body,
                                         headers=headers or {}, method=method)
        try:
            with NO_PROXY.open(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()
        except OSError as error:
            return 0, {}, repr(error).encode()

    def admin(self, path, method="GET", body=None):
        token = self.manifests.secrets["admin-token"]
        return self.ask(path, method, body, {"Authorization": "Bearer " + token},
                        self.manifests.port("gate-admin"))
