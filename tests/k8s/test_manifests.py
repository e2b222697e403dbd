"""The Kubernetes manifests: they render, agree with the schemas, and say what a schema cannot ask for.

No cluster is needed. Rendering needs a kubectl with kustomize 5; where there is none, the sources and the committed
k8s/install.yaml are checked, and what was skipped is said.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import jsonschema
import yaml

TREE = pathlib.Path(__file__).resolve().parents[2]
K8S = TREE / "k8s"
SCHEMAS = pathlib.Path(__file__).parent / "schemas"
VERSIONS = ("1.33", "1.36")
OVERLAYS = ("dev", "prod", "sidecar-demo")
GATEWAY = os.environ.get("CACHEGATE") or str(TREE / "build" / "dev" / "cachegate")
INSTALL_HEAD = "# Rendered from k8s/base by `kubectl kustomize k8s/base`; tests/k8s keeps it fresh.\n"
# Secrets of these names are the operator's to make (k8s/README.md).
SECRETS_FROM_OUTSIDE = {"cachegate": {"redis-url", "secret", "admin-token"}, "cachegate-tls": None}


def kubectl():
    """A kubectl that knows components, or None."""
    program = shutil.which("kubectl")
    if program is None:
        return None
    words = subprocess.run([program, "version", "--client", "-o", "json"], capture_output=True, text=True)
    found = re.search(r'"kustomizeVersion": "v(\d+)', words.stdout)
    return program if found and int(found.group(1)) >= 5 else None


def render(folder):
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError("%s does not render: %s" % (folder, done.stderr))
    return done.stdout


class Unique(yaml.SafeLoader):
    """YAML in which a key stands once, as Kubernetes wants it."""


def _map(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    doubled = {key for key in keys if keys.count(key) > 1}
    if doubled:
        raise AssertionError("doubled keys %s at line %d" % (doubled, node.start_mark.line + 1))
    return loader.construct_mapping(node, deep=True)


Unique.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _map)


def documents(text):
    return [document for document in yaml.load_all(text, Unique) if document]


class Schemas:
    def __init__(self, version):
        self.kubernetes = json.loads((SCHEMAS / ("kubernetes-v%s.json" % version)).read_text())
        self.others = {}
        for name in ("httproute_v1", "podmonitor_v1"):
            schema = json.loads((SCHEMAS / (name + ".json")).read_text())
            properties = schema["properties"]
            self.others["%s/%s" % (properties["apiVersion"]["const"], properties["kind"]["const"])] = schema

    def problems(self, document):
        kind = "%s/%s" % (document["apiVersion"], document["kind"])
        if kind in self.others:
            validator = jsonschema.Draft7Validator(self.others[kind])
        elif kind in self.kubernetes["x-kinds"]:
            schema = {"definitions": self.kubernetes["definitions"], "$ref": self.kubernetes["x-kinds"][kind]}
            validator = jsonschema.Draft7Validator(schema)
        else:
            return ["no schema for " + kind]
        return ["%s %s: %s: %s" % (kind, document["metadata"]["name"], "/".join(map(str, error.absolute_path)),
                                   error.message) for error in validator.iter_errors(document)]


def pods(objects):
    """(owner, template) of everything that makes pods."""
    return [(one, one["spec"]["template"]) for one in objects if one["kind"] in ("Deployment", "StatefulSet")]


def containers(template):
    spec = template["spec"]
    return spec.get("initContainers", []) + spec["containers"]


def of_kind(objects, kind):
    return [one for one in objects if one["kind"] == kind]


def duration_s(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)?", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, None: 1, "m": 60}[unit]


class Rendered(unittest.TestCase):
    """All that holds for every overlay, and for the base."""

    @classmethod
    def setUpClass(cls):
        if kubectl() is None:
            raise unittest.SkipTest("no kubectl with kustomize 5: only install.yaml and the sources are checked")
        cls.sets = {name: documents(render(K8S / "overlays" / name)) for name in OVERLAYS}
        cls.sets["base"] = documents(render(K8S / "base"))
        with tempfile.TemporaryDirectory(dir=K8S / "overlays") as folder:
            (pathlib.Path(folder) / "kustomization.yaml").write_text(
                "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../base]\n"
                "components: [../../components/tls, ../../components/ingress, ../../components/hpa]\n")
            cls.sets["tls, ingress and hpa"] = documents(render(folder))

    def each(self):
        return self.sets.values()

    def test_schemas(self):
        for version in VERSIONS:
            schemas = Schemas(version)
            for objects in self.each():
                self.assertGreater(len(objects), 3)
                self.assertEqual([], [problem for one in objects for problem in schemas.problems(one)])

    def test_the_schemas_notice_mistakes(self):
        schemas = Schemas(VERSIONS[0])
        deployment = of_kind(self.sets["base"], "Deployment")[0]
        for path, key, value in ((("spec",), "replica", 2),
                                 (("spec", "template", "spec", "containers", 0, "ports", 0), "containerPort", "8080"),
                                 (("spec", "template", "spec", "containers", 0, "readinessProbe"), "timeout", 1)):
            broken = json.loads(json.dumps(deployment))
            at = broken
            for step in path:
                at = at[step]
            at[key] = value
            self.assertNotEqual([], schemas.problems(broken), key)

    def test_selectors_find_their_pods(self):
        for objects in self.each():
            labels = []
            for owner, template in pods(objects):
                wanted = owner["spec"]["selector"]["matchLabels"]
                self.assertLessEqual(wanted.items(), template["metadata"]["labels"].items())
                labels.append(template["metadata"]["labels"])
            for service in of_kind(objects, "Service"):
                selector = service["spec"]["selector"]
                chosen = [template for owner, template in pods(objects)
                          if selector.items() <= template["metadata"]["labels"].items()]
                self.assertEqual(1, len(chosen), service["metadata"]["name"])
                names = {port["name"] for one in containers(chosen[0]) for port in one.get("ports", [])}
                for port in service["spec"]["ports"]:
                    self.assertIn(port["targetPort"], names)
                    self.assertNotIn("admin", port["targetPort"], "the admin port is nobody's business outside")
            selectors = [one["spec"]["selector"] for one in of_kind(objects, "PodDisruptionBudget")]
            selectors += [one["spec"]["podSelector"] for one in of_kind(objects, "NetworkPolicy")]
            for selector in selectors:
                wanted = selector.get("matchLabels", {})
                self.assertTrue(wanted, "an empty selector means every pod of the namespace")
                self.assertTrue(any(wanted.items() <= one.items() for one in labels))

    def test_volumes_and_references_exist(self):
        for objects in self.each():
            maps = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
            secrets = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "Secret")}
            for owner, template in pods(objects):
                volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
                for container in containers(template):
                    for mount in container.get("volumeMounts", []):
                        self.assertIn(mount["name"], volumes)
                        self.assertNotIn("subPath", mount, "a file mounted by subPath never changes")
                    for variable in container.get("env", []):
                        reference = variable.get("valueFrom", {}).get("secretKeyRef")
                        if reference:
                            self.assert_secret(secrets, reference["name"], [reference["key"]])
                for volume in volumes.values():
                    if "configMap" in volume:
                        self.assertIn(volume["configMap"]["name"], maps)
                    if "secret" in volume:
                        keys = [item["key"] for item in volume["secret"].get("items", [])]
                        self.assert_secret(secrets, volume["secret"]["secretName"], keys)

    def assert_secret(self, secrets, name, keys):
        if name in secrets:
            self.assertLessEqual(set(keys), set(secrets[name]))
        else:
            self.assertIn(name, SECRETS_FROM_OUTSIDE)
            known = SECRETS_FROM_OUTSIDE[name]
            self.assertTrue(known is None or set(keys) <= known)

    def test_containers_are_hardened(self):
        for objects in self.each():
            for owner, template in pods(objects):
                spec = template["spec"]
                self.assertFalse(spec["automountServiceAccountToken"])
                self.assertEqual("RuntimeDefault", spec["securityContext"]["seccompProfile"]["type"])
                for container in containers(template):
                    where = "%s/%s" % (owner["metadata"]["name"], container["name"])
                    security = container["securityContext"]
                    self.assertFalse(security["allowPrivilegeEscalation"], where)
                    self.assertTrue(security["readOnlyRootFilesystem"], where)
                    self.assertTrue(security["runAsNonRoot"], where)
                    self.assertEqual(["ALL"], security["capabilities"]["drop"], where)
                    user = security.get("runAsUser", spec["securityContext"].get("runAsUser"))
                    group = security.get("runAsGroup", spec["securityContext"].get("runAsGroup"))
                    self.assertTrue(user and group, where)
                    resources = container["resources"]
                    self.assertLessEqual({"cpu", "memory"}, set(resources["requests"]), where)
                    self.assertIn("memory", resources["limits"], where)
                    self.assertRegex(container["image"], r":[^:/]+$", where)
                    self.assertNotIn(":latest", container["image"], where)

    def gateways(self, objects):
        return [(owner, template, container) for owner, template in pods(objects)
                for container in containers(template) if container["name"] == "cachegate"]

    def test_probes_ask_the_gateway_alone(self):
        for objects in self.each():
            for _, _, container in self.gateways(objects):
                ports = {port["name"]: port["containerPort"] for port in container["ports"]}
                for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"),
                                    ("readinessProbe", "/readyz")):
                    self.assertEqual(path, container[probe]["httpGet"]["path"])
                    self.assertIn("admin", container[probe]["httpGet"]["port"])
                    self.assertIn(container[probe]["httpGet"]["port"], ports)

    def test_a_drain_fits_into_the_grace_period(self):
        for objects in self.each():
            for _, template, container in self.gateways(objects):
                config = self.config_of(objects, template, container)
                sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                needed = sleep + duration_s(config["drain_timeout"]) + 5
                self.assertGreaterEqual(template["spec"]["terminationGracePeriodSeconds"], needed)

    def test_hooks_need_no_shell_and_do_not_end_the_gateway(self):
        entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", (TREE / "Dockerfile").read_text(), re.MULTILINE).group(1))
        kinds = set()
        for objects in self.each():
            for _, template, container in self.gateways(objects):
                ((kind, hook),) = container["lifecycle"]["preStop"].items()
                kinds.add(kind)
                if kind == "exec":
                    self.assertEqual(hook["command"], entry + ["drain"] + container["args"][1:])
                else:
                    self.assertEqual(kind, "sleep")
        self.assertEqual(kinds, {"exec", "sleep"})

    def config_of(self, objects, template, container):
        mount = next(one for one in container["volumeMounts"] if one["mountPath"] == "/etc/cachegate/config")
        volume = next(one for one in template["spec"]["volumes"] if one["name"] == mount["name"])
        data = next(one for one in of_kind(objects, "ConfigMap")
                    if one["metadata"]["name"] == volume["configMap"]["name"])["data"]
        return yaml.load(data["cachegate.yaml"], Unique)

    def test_the_sidecar_is_a_native_one(self):
        template = pods(self.sets["sidecar-demo"])[0][1]
        (sidecar,) = [one for one in template["spec"]["initContainers"] if one["name"] == "cachegate"]
        self.assertEqual("Always", sidecar["restartPolicy"])
        self.assertIn("startupProbe", sidecar)
        (app,) = template["spec"]["containers"]
        self.assertNotIn("ports", app, "the application's own port leads past the cache")
        service = next(one for one in of_kind(self.sets["sidecar-demo"], "Service")
                       if one["metadata"]["name"] == "items")
        self.assertEqual("gate-http", service["spec"]["ports"][0]["targetPort"])

    def test_rules_keep_their_name_and_configuration_does_not(self):
        names = {one["metadata"]["name"] for one in of_kind(self.sets["base"], "ConfigMap")}
        self.assertIn("cachegate-rules", names, "rules are changed in place")
        self.assertTrue(any(re.fullmatch(r"cachegate-config-\w+", name) for name in names),
                        "a change of configuration rolls the pods")

    @unittest.skipUnless(os.access(GATEWAY, os.X_OK), "no gateway at " + GATEWAY)
    def test_the_gateway_accepts_its_files(self):
        for objects in self.each():
            for _, template, container in self.gateways(objects):
                with tempfile.TemporaryDirectory() as folder:
                    self.assert_accepted(objects, template, container, pathlib.Path(folder))

    def assert_accepted(self, objects, template, container, folder):
        """`cachegate check` with the container's own arguments, paths moved into `folder`."""
        maps = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        for mount in container["volumeMounts"]:
            target = folder / mount["mountPath"].lstrip("/")
            target.mkdir(parents=True)
            volume = volumes[mount["name"]]
            if "configMap" in volume:
                for name, text in maps[volume["configMap"]["name"]].items():
                    (target / name).write_text(text.replace("/etc/cachegate", str(folder / "etc/cachegate")))
            else:
                for name in ("secret", "admin-token", "tls.crt", "tls.key"):
                    (target / name).write_text("a-secret-for-this-test\n")
        arguments = [argument.replace("/etc/cachegate", str(folder / "etc/cachegate"))
                     for argument in container["args"][1:]]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CACHEGATE_")}
        environment["CACHEGATE_STORE_REDIS"] = "redis://:password@redis:6379/0"
        done = subprocess.run([GATEWAY, "check", *arguments], env=environment, capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_install_yaml_is_fresh(self):
        self.assertEqual(INSTALL_HEAD + render(K8S / "base"), (K8S / "install.yaml").read_text(),
                         "render it anew: (head -1 k8s/install.yaml; kubectl kustomize k8s/base) > install.yaml")


class Sources(unittest.TestCase):
    """What can be checked without kubectl."""

    def test_kustomizations(self):
        validator = jsonschema.Draft7Validator(json.loads((SCHEMAS / "kustomization.json").read_text()))
        files = sorted(K8S.rglob("kustomization.yaml"))
        self.assertGreaterEqual(len(files), 11)
        for path in files:
            with self.subTest(path=str(path.relative_to(TREE))):
                (document,) = documents(path.read_text())
                self.assertEqual([], [error.message for error in validator.iter_errors(document)])
                for name in document.get("resources", []) + document.get("components", []):
                    self.assertTrue((path.parent / name).exists(), name)

    def test_install_yaml(self):
        text = (K8S / "install.yaml").read_text()
        self.assertTrue(text.startswith(INSTALL_HEAD))
        for version in VERSIONS:
            schemas = Schemas(version)
            self.assertEqual([], [problem for one in documents(text) for problem in schemas.problems(one)])

    def test_nothing_is_mounted_by_sub_path(self):
        for path in K8S.rglob("*.yaml"):
            self.assertNotIn("subPath", path.read_text(), str(path))


if __name__ == "__main__":
    unittest.main()
