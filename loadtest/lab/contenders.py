"""Who is measured. Every contender does one job: keep `GET /transactions` per user, sorted query."""
import hashlib
import os
import shutil
import subprocess

from lab.processes import ROOT

FOLDER = ROOT / "loadtest" / "contenders"
MODULES = "/usr/lib/nginx/modules"


class Missing(Exception):
    """A contender that this machine cannot start, with the reason."""


class Contender:
    """`sorts`, `caches`, `purges`: what lab/checks.py holds it to. `protocols`: what it speaks."""

    name = title = ""
    protocols = ("h1", "h2c", "tls", "h2")
    caches = sorts = True
    purges = False
    uses_redis = False

    def start(self, lab, upstream_port, redis_port):
        self.port, self.h2c_port, self.tls_port = lab.port(), lab.port(), lab.port()
        self.process = self.launch(lab, upstream_port, redis_port)

    def fill_in(self, lab, source, target, **values):
        """A template of loadtest/contenders, with its @NAMES@ replaced, in the lab's folder."""
        values.update(FOLDER=lab.folder, MEMORY_FOLDER=lab.memory_folder, CONTENDERS=FOLDER, MODULES=MODULES,
                      CERTIFICATE=lab.certificate, KEY=lab.key, PORT=self.port,
                      H2C_PORT=self.h2c_port, TLS_PORT=self.tls_port)
        text = (FOLDER / source).read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        path = os.path.join(lab.folder, target)
        with open(path, "w") as file:
            file.write(text)
        return path

    def url(self, protocol, path):
        port = {"h1": self.port, "h2c": self.h2c_port}.get(protocol, self.tls_port)
        return f"{'https' if protocol in ('tls', 'h2') else 'http'}://127.0.0.1:{port}{path}"


class Cachegate(Contender):
    purges = True

    def __init__(self, label, binary, kind):
        self.binary, self.kind, self.uses_redis = binary, kind, kind != "embedded"
        self.name = f"{label}-{kind}"
        self.title = {"redis": "Redis, strict, sealed, no near copies",
                      "near": "Redis and near copies, strict (asks Redis for versions only)",
                      "pushed": "Redis and near copies, pushed (Redis tells of changes)",
                      "embedded": "the embedded store"}[kind]

    def rules(self):
        text = (FOLDER / "cachegate.yaml").read_text()
        if self.kind == "pushed":
            return text.replace("scope: user", "scope: user, consistency: pushed")
        return text

    def launch(self, lab, upstream_port, redis_port):
        path = os.path.join(lab.folder, f"{self.name}-rules.yaml")
        with open(path, "w") as file:
            file.write(self.rules())
        self.h2c_port = self.port  # it tells them apart by the first bytes
        store = "store: { memory: 4GB }\n"
        if self.uses_redis:
            # As long as the default: Redis takes two allocations for a name of over 44 bytes.
            namespace = hashlib.sha256(self.name.encode()).hexdigest()[:len("cachegate")]
            store = (f"store: {{ redis: 'redis://127.0.0.1:{redis_port}', namespace: {namespace}, "
                     f"near: {'0' if self.kind == 'redis' else '1GB'} }}\n")
        options = os.path.join(lab.folder, f"{self.name}.yaml")
        with open(options, "w") as file:
            file.write(f"listen:\n  - 127.0.0.1:{self.port}\n"
                       f"  - {{ address: '127.0.0.1:{self.tls_port}', tls: on }}\n"
                       f"tls: {{ certificate: {lab.certificate}, key: {lab.key} }}\n"
                       f"upstream: http://127.0.0.1:{upstream_port}\nrules: {path}\n"
                       f"secret: {'5e' * 32}\nthreads: 1\nlog: {{ level: warn{self.no_log()} }}\n"
                       + store)
        return lab.start(self.name, lab.on_gateway_cpu([self.binary, "run", "-c", options]),
                         self.port)

    def no_log(self):
        """Peers write no access log, so neither do we; older binaries had none."""
        known = subprocess.run([self.binary, "reference"], capture_output=True, text=True).stdout
        return ", access: off" if "log.access`" in known else ""


class Nginx(Contender):
    modules = ()

    def launch(self, lab, upstream_port, redis_port):
        if shutil.which("nginx") is None and not os.path.exists("/usr/sbin/nginx"):
            raise Missing("nginx is not installed")
        for module in self.modules:
            if not os.path.exists(f"{MODULES}/{module}.so"):
                raise Missing(f"nginx has no {module}")
        if self.modules and not os.path.exists("/usr/share/lua/5.1/nginx/redis.lua"):
            raise Missing("lua-nginx-redis is not installed")
        options = self.fill_in(lab, f"{self.name}.conf", f"{self.name}.conf",
                               UPSTREAM_PORT=upstream_port, REDIS_PORT=redis_port)
        command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", lab.folder, "-c", options]
        return lab.start(self.name, lab.on_gateway_cpu(command), self.port)


class NginxLua(Nginx):
    name, title = "nginx-lua", "nginx, Lua, lua-resty-redis: the true peer"
    modules = ("ndk_http_module", "ngx_http_lua_module")
    purges = uses_redis = True


class NginxSrcache(Nginx):
    name, title = "nginx-srcache", "nginx srcache with Redis"
    modules = ("ndk_http_module", "ngx_http_lua_module", "ngx_http_srcache_filter_module")
    uses_redis = True


class NginxProxyCache(Nginx):
    name, title = "nginx-proxy-cache", "nginx proxy_cache in tmpfs, keyed by Authorization"
    sorts = False


class Varnish(Contender):
    name, title = "varnish", "Varnish, malloc storage, hashing Authorization"
    protocols = ("h1", "h2c")
    purges = True

    def launch(self, lab, upstream_port, redis_port):
        binary = shutil.which("varnishd") or "/usr/sbin/varnishd"
        if not os.path.exists(binary):
            raise Missing("varnishd is not installed")
        options = self.fill_in(lab, "varnish.vcl", "varnish.vcl", UPSTREAM_PORT=upstream_port)
        self.h2c_port = self.port
        command = [binary, "-F", "-n", os.path.join(lab.folder, "varnish"), "-f", options,
                   "-a", f"127.0.0.1:{self.port}", "-s", "malloc,4g", "-T", "none",
                   "-p", "feature=+http2", "-p", "thread_pools=1", "-p", "thread_pool_min=100",
                   "-p", "thread_pool_max=2000", "-p", "listen_depth=4096",
                   "-p", "timeout_idle=300", "-p", "ban_lurker_sleep=0.01"]
        return lab.start(self.name, lab.on_gateway_cpu(command), self.port)


class Ceiling(Contender):
    name, title = "ceiling", "a bare libh2o program that answers from memory"
    caches = sorts = False

    def launch(self, lab, upstream_port, redis_port):
        self.h2c_port = self.port
        return lab.start(self.name, lab.on_gateway_cpu(
            [str(lab.tools / "ceiling"), str(self.port), str(self.tls_port), lab.certificate,
             lab.key]), self.port)


class H2oProxy(Contender):
    name, title = "h2o-proxy", "libh2o's own reverse proxy, without a cache"
    caches = sorts = False

    def launch(self, lab, upstream_port, redis_port):
        self.h2c_port = self.port
        return lab.start(self.name, lab.on_gateway_cpu(
            [str(lab.tools / "proxy"), str(self.port), str(self.tls_port), lab.certificate,
             lab.key, f"http://127.0.0.1:{upstream_port}/"]), self.port)


class Direct(Contender):
    """The upstream itself: what latencies are added to."""

    name, title = "direct", "the upstream itself"
    protocols = ("h1",)
    caches = sorts = False

    def launch(self, lab, upstream_port, redis_port):
        self.port = self.h2c_port = upstream_port
        return lab.upstream


def everybody(binaries):
    """All contenders; `binaries` is a list of (label, path)."""
    ours = [Cachegate(label, path, kind) for label, path in binaries
            for kind in ("redis", "near", "pushed", "embedded")]
    return [NginxLua(), NginxSrcache(), NginxProxyCache(), Varnish(), *ours, Ceiling(), H2oProxy(),
            Direct()]


def chosen(contenders, names):
    """Those whose name is, or begins with, one of `names`; all when there are none."""
    if not names:
        return contenders
    picked = [one for one in contenders
              if any(one.name == name or one.name.startswith(name + "-") for name in names)]
    for name in names:
        if not any(one.name == name or one.name.startswith(name + "-") for one in contenders):
            raise SystemExit(f"loadtest/run: there is no contender `{name}`. Choose from: "
                             + ", ".join(one.name for one in contenders))
    return picked
