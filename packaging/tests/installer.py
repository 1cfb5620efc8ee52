#!/usr/bin/env python3
"""The installer against a real HTTPS server, a stand-in agent and a stand-in systemctl, below a folder of its own.

usage: installer.py [NAME...]   Runs all cases, or those named, in dash and busybox ash. Needs curl, openssl, dash, busybox.
"""
import base64
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import ssl
import stat
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLATE = (ROOT / "packaging/install.sh").read_text(encoding="utf-8")
TOKEN = "wfj_0123456789_verysecretverysecretverysecret"
SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"]}

AGENT = """#!/bin/sh
case $1 in
--version) echo "windflow-agent %(version)s" ;;
enroll)
    printf '%%s\\n' "$*" >>%(calls)s
    [ ! -e %(calls)s.lost ] || { rm %(calls)s.lost; echo "error: no answer" >&2; exit 5; }
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --token-file) file=$2; shift ;;
        --controller | --ca-pin | --name | --label) shift ;;
        --force-reenroll) ;;
        *) echo "error: unexpected argument $1" >&2; exit 2 ;;
        esac
        shift
    done
    : >"$(dirname %(calls)s)/root/var/lib/windflow-agent/agent.key"
    [ "$(stat -c %%a "$file")" = 600 ] || { echo "the token file is open to others" >&2; exit 1; }
    [ "$(cat "$file")" = %(token)s ] || { echo "error: unknown token" >&2; exit 3; }
    : >"$(dirname %(calls)s)/root/var/lib/windflow-agent/controller.toml"
    echo "enrolled as agt_test"
    ;;
leave) printf '%%s\\n' "$*" >>%(calls)s ;;
status) printf '%%s\\n' "$*" >>%(calls)s; [ ! -e %(calls)s.deaf ] || exit 1; echo "connected agt_test quic 1 ms" ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
printf 'systemctl %%s\\n' "$*" >>%(calls)s
case $1 in
is-active) [ -e %(calls)s.active ] ;;
restart) : >%(calls)s.active ;;
disable) rm -f %(calls)s.active ;;
esac
"""
RC = """#!/bin/sh
printf '%%s %%s\\n' "${0##*/}" "$*" >>%(calls)s
case "${0##*/} $*" in
*" status") [ -e %(calls)s.active ] ;;
*" restart") : >%(calls)s.active ;;
*" stop") rm -f %(calls)s.active ;;
esac
"""


class Server:
    """Serves /healthz and the agent over HTTPS with a key of its own."""

    def __init__(self, folder):
        self.binary = b""
        self.skew = 0
        self.cut = False
        key, cert = folder / "key.pem", folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
             "-out", cert, "-subj", "/CN=localhost", "-days", "2"], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True)
        self.pin = base64.b64encode(hashlib.sha256(der.stdout).digest()).decode()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def date_time_string(self, timestamp=None):
                import time
                return super().date_time_string((timestamp or time.time()) + outer.skew)

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                body = outer.binary if self.path == "/dl/agent/x86_64" else b"ok"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body[: len(body) // 2] if outer.cut and len(body) > 2 else body)
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"https://127.0.0.1:{self.http.server_address[1]}"


class Host:
    """One folder that stands for a host."""

    def __init__(self, server, folder, shell):
        self.server, self.folder, self.shell = server, folder, shell
        self.root, self.bin, self.calls = folder / "root", folder / "bin", folder / "calls"
        (self.root / "usr").mkdir(parents=True)
        self.bin.mkdir()
        self.tools("sh curl cat chmod cp mv rm rmdir mkdir mktemp ln readlink sed awk cmp cut df date id uname tr stat "
                   "sha256sum printf stty dirname basename find busybox")
        self.program(self.bin / "systemctl", SYSTEMCTL)
        self.program(self.bin / "rc-service", RC)
        self.program(self.bin / "rc-update", RC)
        self.program(self.bin / "uname", '#!/bin/sh\ncase $1 in -m) echo x86_64 ;; *) echo Linux ;; esac\n')
        self.token = folder / "token"
        self.token.write_text(TOKEN + "\n")
        self.version("1.0.0")

    def tools(self, names):
        for name in names.split():
            path = shutil.which(name)
            if path and not (self.bin / name).exists():
                (self.bin / name).symlink_to(path)

    def program(self, path, text):
        if path.is_symlink():
            path.unlink()
        path.write_text(text.replace("%%", "%") if "%(" not in text else text % {
            "calls": self.calls, "token": TOKEN, "version": getattr(self, "release", "0")})
        path.chmod(0o755)

    def version(self, release):
        self.release = release
        self.server.binary = (AGENT % {"calls": self.calls, "token": TOKEN, "version": release}).encode()
        self.digest = hashlib.sha256(self.server.binary).hexdigest()

    def script(self, **change):
        fields = {"WINDFLOW_URL": self.server.url, "QUIC": "127.0.0.1:9", "CA_PIN": "sha256:abc", "TLS_PIN": self.server.pin,
                  "VERSION": self.release, "SHA256_X86_64": self.digest, "SHA256_AARCH64": ""} | change
        return re.sub("@@([A-Z0-9_]+)@@", lambda m: fields[m[1]], TEMPLATE)

    def install(self, *arguments, fields=None, env=None, token=True):
        environment = {"PATH": str(self.bin), "WINDFLOW_ROOT": str(self.root), "WINDFLOW_TEST_SYSTEMCTL": "1",
                       "TMPDIR": str(self.folder)} | (env or {})
        options = ["--token-file", str(self.token)] if token else []
        self.calls.write_text("")
        command = [shutil.which(self.shell[0]), *self.shell[1:], "-s", "--", *options, *arguments]
        done = subprocess.run(command, input=self.script(**(fields or {})), env=environment, text=True,
                              capture_output=True, check=False, timeout=60, start_new_session=True)
        self.last = done
        return done

    def uninstall(self, *arguments, env=None):
        self.calls.write_text("")
        return subprocess.run([shutil.which(self.shell[0]), *self.shell[1:], self.bin_dir / "windflow-agent-uninstall.sh",
                               *arguments], env=env or {"PATH": str(self.bin), "WINDFLOW_TEST_SYSTEMCTL": "1"}, text=True,
                              capture_output=True, check=False, timeout=60)

    @property
    def bin_dir(self):
        return self.root / "usr/local/bin"

    def files(self):
        return sorted(str(p.relative_to(self.root)) for p in self.root.rglob("*")
                      if not p.is_dir() and p.name != "windflow-install.log")

    def called(self):
        return self.calls.read_text().splitlines()

    def leftovers(self):
        return [p.name for p in self.folder.glob("windflow.*")]


def ok(host, done):
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"


def refused(host, done, message):
    assert done.returncode != 0, "it should have failed"
    assert message in done.stderr, f"expected {message!r} in {done.stderr!r}"
    assert host.files() == [], f"left behind: {host.files()}"
    assert host.leftovers() == [], f"left behind: {host.leftovers()}"


def case_installs_enrols_and_waits(host):
    done = host.install("--name", "web 1", "--label", "site=a", "--label", "tier=b")
    ok(host, done)
    calls = host.called()
    assert calls[0].startswith("enroll --controller 127.0.0.1:9 --ca-pin sha256:abc --token-file "), calls
    assert calls[0].endswith("--name web 1 --label site=a --label tier=b"), calls
    assert calls[1:] == ["systemctl daemon-reload", "systemctl enable windflow-agent.service",
                         "systemctl restart windflow-agent.service", "status --wait-connected 60s"], calls
    assert "connected agt_test" in done.stdout
    assert host.leftovers() == []
    unit = (host.root / "etc/systemd/system/windflow-agent.service").read_text()
    assert unit == (ROOT / "systemd/windflow-agent.service").read_text(), "the unit in install.sh is not systemd/windflow-agent.service"
    for name in ("windflow-host-terminal.socket", "windflow-host-terminal@.service"):
        unit = (host.root / "etc/systemd/system" / name).read_text()
        assert unit == (ROOT / "systemd" / name).read_text(), f"the unit in install.sh is not systemd/{name}"
    assert not any("host-terminal" in call for call in calls), "terminals on the host are the owner's to enable"


def case_openrc_gets_a_service(host):
    openrc = {"WINDFLOW_TEST_OPENRC": "1", "WINDFLOW_TEST_SYSTEMCTL": ""}
    ok(host, host.install(env=openrc))
    assert host.called()[1:] == ["rc-update add windflow-agent default", "rc-service --quiet windflow-agent restart",
                                 "status --wait-connected 60s"], host.called()
    service = (host.root / "etc/init.d/windflow-agent").read_text()
    assert service == (ROOT / "packaging/openrc/windflow-agent").read_text(), "it is not packaging/openrc/windflow-agent"
    assert not (host.root / "etc/systemd").exists()
    done = host.install(env=openrc, token=False)
    assert "nothing has changed" in done.stdout and not any("restart" in c for c in host.called()), host.called()
    ok(host, host.uninstall("--purge", env={"PATH": str(host.bin), "WINDFLOW_TEST_OPENRC": "1"}))
    assert host.called()[:2] == ["rc-service windflow-agent stop", "rc-update delete windflow-agent"], host.called()
    assert host.files() == [], host.files()


def case_twice_changes_nothing(host):
    ok(host, host.install())
    before = {f: (host.root / f).read_bytes() for f in host.files() if not (host.root / f).is_symlink()}
    done = host.install(token=False)
    ok(host, done)
    assert not any("restart" in c or "enroll" in c for c in host.called()), host.called()
    assert "nothing has changed" in done.stdout and "already here" in done.stdout, done.stdout
    assert before == {f: (host.root / f).read_bytes() for f in host.files() if not (host.root / f).is_symlink()}


def case_upgrade_twice(host):
    ok(host, host.install())
    for _ in range(2):
        host.version("1.1.0")
        ok(host, host.install(token=False))
    assert os.readlink(host.root / "usr/local/lib/windflow/current") == "versions/1.1.0"
    host.version("1.2.0")
    ok(host, host.install(token=False))
    assert "systemctl restart windflow-agent.service" in host.called()
    assert not any("enroll" in c for c in host.called())


def case_uninstall_twice(host):
    kept = host.root / "var/lib/windflow-agent/work/web/page.conf"
    for _ in range(2):
        ok(host, host.install())
        ok(host, host.uninstall())
        assert any(c.startswith("leave --force --state-dir ") for c in host.called()), host.called()
        assert host.files() == [], host.files()
        # What running stacks mount stays, unless asked.
        ok(host, host.install())
        kept.parent.mkdir(parents=True)
        kept.write_text("x")
        (host.root / "etc/windflow/agent.toml").write_text("")
        ok(host, host.uninstall())
        assert host.files() == ["etc/windflow/agent.toml", "var/lib/windflow-agent/work/web/page.conf"], host.files()
        ok(host, host.install())
        ok(host, host.uninstall("--purge"))
        assert host.files() == [], host.files()
        assert not (host.root / "var/lib/windflow-agent").exists() and not (host.root / "etc/windflow").exists()


def case_cut_download(host):
    host.server.cut = True
    try:
        refused(host, host.install(), "the agent could not be downloaded")
    finally:
        host.server.cut = False


def case_lost_answer_is_asked_for_again(host):
    pathlib.Path(f"{host.calls}.lost").touch()
    ok(host, host.install())
    assert sum(c.startswith("enroll ") for c in host.called()) == 2, host.called()


def case_not_root(host):
    host.program(host.bin / "id", "#!/bin/sh\necho 1000\n")
    if host.shell[0] == "busybox":
        return  # its own id comes before the stand-in
    done = host.install(env={"WINDFLOW_ROOT": "", "WINDFLOW_NO_SERVICE": "1"})
    refused(host, done, "root is needed to install the agent")


def case_wrong_hash(host):
    refused(host, host.install(fields={"SHA256_X86_64": "0" * 64}), "SHA-256 is not the one")


def case_wrong_pin(host):
    refused(host, host.install(fields={"TLS_PIN": base64.b64encode(b"x" * 32).decode()}), "could not be downloaded")


def case_no_sha256_tool(host):
    if host.shell[0] == "busybox":
        return  # busybox carries one
    (host.bin / "sha256sum").unlink()
    refused(host, host.install(), "no tool for SHA-256")


def case_wget_only(host):
    (host.bin / "curl").unlink()
    host.tools("wget")
    refused(host, host.install(), "curl is needed")


def case_not_https(host):
    refused(host, host.install(fields={"WINDFLOW_URL": host.server.url.replace("https", "http")}), "must begin with https://")


def case_wrong_token_is_undone(host):
    host.token.write_text("wfj_0_wrong\n")
    refused(host, host.install(), "could not be enrolled")


def case_token_of_another_kind(host):
    host.token.write_text("wft_api\n")
    refused(host, host.install(), "not an enrolment token")


def case_no_token_no_terminal(host):
    refused(host, host.install(token=False), "no terminal to ask")


def case_token_by_variable(host):
    ok(host, host.install(token=False, env={"WINDFLOW_TOKEN": TOKEN}))
    ok(host, host.uninstall("--purge"))
    ok(host, host.install(token=False, env={"WINDFLOW_TOKEN_FILE": str(host.token)}))


def case_token_as_argument(host):
    refused(host, host.install("--token", TOKEN, token=False), "never an argument")


def case_token_is_nowhere(host):
    done = host.install()
    ok(host, done)
    assert TOKEN not in done.stdout + done.stderr + "".join(host.called())
    for path in host.root.rglob("*"):
        if path.is_file() and "windflow-agent" != path.name:
            assert TOKEN.encode() not in path.read_bytes(), path
    for name in ("etc/windflow/install.env", "var/log/windflow-install.log"):
        assert stat.S_IMODE((host.root / name).stat().st_mode) == 0o600, name


def case_other_controller(host):
    ok(host, host.install())
    before = host.files()
    done = host.install(fields={"CA_PIN": "sha256:other"})
    assert done.returncode != 0 and "already belongs to another controller" in done.stderr, done.stderr
    assert host.files() == before
    ok(host, host.install("--force-reenroll", fields={"CA_PIN": "sha256:other"}))
    assert any(c.startswith("enroll") and c.endswith("--force-reenroll") for c in host.called())


def case_not_connected(host):
    pathlib.Path(f"{host.calls}.deaf").touch()
    done = host.install()
    assert done.returncode != 0 and "not connected after 60 s" in done.stderr, done.stderr
    assert "usr/local/bin/windflow-agent" in host.files(), "an enrolled host keeps its agent"


def case_clock_off(host):
    host.server.skew = 31_536_000
    try:
        refused(host, host.install(), "clock of this host is off")
    finally:
        host.server.skew = 0


def case_unknown_architecture(host):
    if host.shell[0] == "busybox":
        return  # its own uname comes before the stand-in
    host.program(host.bin / "uname", '#!/bin/sh\ncase $1 in -m) echo mips ;; *) echo Linux ;; esac\n')
    refused(host, host.install(), "no agent for the architecture 'mips'")


def case_no_agent_for_architecture(host):
    refused(host, host.install(fields={"SHA256_X86_64": ""}), "no agent for x86_64")


def case_template_itself(host):
    refused(host, host.install(fields={"QUIC": "@@QUIC@@"}), "this is the template")


def case_unknown_option(host):
    refused(host, host.install("--frobnicate"), "unknown option '--frobnicate'")


def case_local_file(host):
    agent = host.folder / "agent"
    agent.write_bytes(host.server.binary)
    (host.bin / "curl").unlink()
    ok(host, host.install("--local-file", str(agent)))


def case_local_file_with_another_hash(host):
    agent = host.folder / "agent"
    agent.write_bytes(host.server.binary + b"# changed\n")
    refused(host, host.install("--local-file", str(agent)), "SHA-256 is not the one")


def case_skip_download(host):
    ok(host, host.install())
    host.server.binary = b"not it"
    ok(host, host.install("--skip-download", token=False))


def case_no_service(host):
    ok(host, host.install(env={"WINDFLOW_NO_SERVICE": "1"}))
    assert not any(c.startswith("systemctl") for c in host.called())


def case_documented_errors(_host):
    """What docs/install.md says that people see is what the sources say; `…` stands for anything."""
    guide = (ROOT / "docs/install.md").read_text(encoding="utf-8").split("## When something goes wrong", 1)[1]
    rows = re.findall(r"^\| `([^`]+)`", guide, re.M)
    assert len(rows) > 15, rows
    folders = ("agent/src", "controller/src", "protocol/transport/src")
    text = TEMPLATE + "".join(p.read_text(encoding="utf-8") for f in folders for p in (ROOT / f).rglob("*.rs"))
    for row in rows:
        if not row.startswith("curl: "):  # curl's own words
            pattern = "[^\\n]{1,40}".join(re.escape(part) for part in row.split("…"))
            assert re.search(pattern, text), f"no source says {row!r}"


def case_proxy_variables(host):
    ok(host, host.install(env={"NO_PROXY": "*", "HTTPS_PROXY": "http://proxy:1"}))
    path = host.root / "etc/windflow/agent.env"
    assert path.read_text() == "HTTPS_PROXY=http://proxy:1\nNO_PROXY=*\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def main():
    cases = {n[5:]: f for n, f in globals().items() if n.startswith("case_") and (not sys.argv[1:] or n[5:] in sys.argv[1:])}
    passed = failed = 0
    with tempfile.TemporaryDirectory() as top:
        server = Server(pathlib.Path(top))
        for shell, command in SHELLS.items():
            for name, case in cases.items():
                with tempfile.TemporaryDirectory(dir=top) as folder:
                    host = Host(server, pathlib.Path(folder), command)
                    try:
                        case(host)
                        passed += 1
                    except Exception as error:  # pylint: disable=broad-except
                        failed += 1
                        print(f"FAILED {shell} {name}: {type(error).__name__}: {error}")
                        if hasattr(host, "last"):
                            print(f"  stdout: {host.last.stdout[-300:]!r}\n  stderr: {host.last.stderr[-600:]!r}")
    print(f"installer cases: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
