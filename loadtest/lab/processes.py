"""Processes that are measured: started on a CPU, looked at through /proc, ended by their ids."""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"  # everything is on loopback

ROOT = pathlib.Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1
CPU_CLOCK = 2  # of another process, in clockid_t
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid):
    """User and system time of a process with all its threads, also those that ended."""
    try:
        return time.clock_gettime((~pid << 3) | CPU_CLOCK)
    except OSError:
        return 0.0


def tree_of(pid):
    """The process and everything below it."""
    parents = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += parents.get(one, [])
    return found


def resident_bytes(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


class Process:
    """A server with its children, as they were when its tree was last looked at."""

    def __init__(self, name, popen, log):
        self.name, self.popen, self.log = name, popen, log
        self.pids = [popen.pid]

    def look_at_tree(self):
        self.pids = tree_of(self.popen.pid)

    def cpu(self):
        return sum(cpu_seconds(pid) for pid in self.pids)

    def resident(self):
        return sum(resident_bytes(pid) for pid in self.pids)

    def words(self):
        return pathlib.Path(self.log).read_text(errors="replace")[-2000:]

    def stop(self):
        self.look_at_tree()
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        for pid in self.pids[1:]:  # a child may outlive a parent that was killed
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Lab:
    """A folder, a folder in memory, ports, CPUs, and whatever was started. Use it with `with`."""

    def __init__(self):
        cpus = sorted(os.sched_getaffinity(0))
        self.gateway_cpu = cpus[0] if len(cpus) > 1 else None
        self.other_cpu = cpus[1] if len(cpus) > 1 else None
        self.processes = []
        self.held_ports = []

    def __enter__(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="cachegate-loadtest-")
        self.memory_folder = tempfile.mkdtemp(prefix="cachegate-loadtest-", dir=memory)
        # nginx's and varnish's workers drop to another user when root starts them.
        os.chmod(self.folder, 0o755)
        os.chmod(self.memory_folder, 0o777)
        self.make_certificate()
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.memory_folder, ignore_errors=True)

    def make_certificate(self):
        self.certificate = os.path.join(self.folder, "certificate.pem")
        self.key = os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", self.key, "-out", self.certificate],
                       check=True, capture_output=True)

    def port(self):
        """A free port; no two calls give the same one."""
        while True:
            with socket.socket() as one:
                one.bind(("127.0.0.1", 0))
                port = one.getsockname()[1]
            if port not in self.held_ports:
                self.held_ports.append(port)
                return port

    def pinned(self, command, cpu):
        return command if cpu is None else ["taskset", "-c", str(cpu), *command]

    def on_gateway_cpu(self, command):
        return self.pinned(command, self.gateway_cpu)

    def on_other_cpu(self, command):
        return self.pinned(command, self.other_cpu)

    def start(self, name, command, port, environment=None):
        """Starts a server and waits until its port accepts."""
        log = os.path.join(self.folder, f"{name}.out")
        libc = ctypes.CDLL(None)

        def die_with_us():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        with open(log, "w") as file:
            popen = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                                     cwd=self.folder, preexec_fn=die_with_us,
                                     env={**os.environ, **(environment or {})})
        process = Process(name, popen, log)
        self.processes.append(process)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if popen.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not start:\n{process.words()}") from None
                time.sleep(0.02)
        return process

    def stop(self, process):
        self.processes.remove(process)
        process.stop()
