#!/bin/sh
# Installs the WindFlow agent on this host and enrols it with the controller that served this script.
#
#   curl -fsSL -k --pinnedpubkey 'sha256//PIN' https://CONTROLLER/install.sh | sudo sh
#
# The one-use enrolment token is asked for on the terminal, or read from --token-file FILE, WINDFLOW_TOKEN_FILE, or an
# exported WINDFLOW_TOKEN (sudo --preserve-env=WINDFLOW_TOKEN sh). It is never an argument: arguments show in `ps`.
#
# Options (after `sh -s --`)          Settings (environment)
#   --token-file FILE                 WINDFLOW_TOKEN_FILE, WINDFLOW_TOKEN
#   --name NAME                       WINDFLOW_NAME          the name shown in the fleet (default: the host's)
#   --label KEY=VALUE (repeatable)    WINDFLOW_LABELS        "a=b,c=d"
#   --force-reenroll                  WINDFLOW_FORCE_REENROLL=1   leave another controller for this one
#   --local-file FILE                 WINDFLOW_LOCAL_FILE    use this binary, download nothing
#   --skip-download                   WINDFLOW_SKIP_DOWNLOAD=1    use the binary that is installed
#   --no-start                        WINDFLOW_SKIP_START=1, WINDFLOW_SKIP_ENABLE=1, WINDFLOW_NO_SERVICE=1
#                                     WINDFLOW_URL, WINDFLOW_QUIC, WINDFLOW_CA_PIN, WINDFLOW_BIN_DIR
#                                     WINDFLOW_ROOT          install below this folder (for images); starts nothing
#
# Running it again upgrades, or does nothing if all is as it should be. A failed run undoes what it did.
# The whole work is in functions inside one group of braces and starts on the last line: a download that was cut short is a
# syntax error for the shell, which then runs nothing.

{

_wf_defaults() {
    url=${WINDFLOW_URL:-@@WINDFLOW_URL@@}
    quic=${WINDFLOW_QUIC:-@@QUIC@@}
    ca_pin=${WINDFLOW_CA_PIN:-@@CA_PIN@@}
    tls_pin='@@TLS_PIN@@'
    version='@@VERSION@@'
    sha256_x86_64='@@SHA256_X86_64@@'
    sha256_aarch64='@@SHA256_AARCH64@@'
    root=${WINDFLOW_ROOT:-}
    name=${WINDFLOW_NAME:-}
    labels=${WINDFLOW_LABELS:-}
    token_file=${WINDFLOW_TOKEN_FILE:-}
    token=${WINDFLOW_TOKEN:-}
    unset WINDFLOW_TOKEN
    local_file=${WINDFLOW_LOCAL_FILE:-}
    skip_download=${WINDFLOW_SKIP_DOWNLOAD:-}
    skip_start=${WINDFLOW_SKIP_START:-}
    skip_enable=${WINDFLOW_SKIP_ENABLE:-}
    no_service=${WINDFLOW_NO_SERVICE:-}
    force=${WINDFLOW_FORCE_REENROLL:-}
    etc=$root/etc/windflow
    state=$root/var/lib/windflow-agent
    units=$root/etc/systemd/system
    settings=$etc/install.env
    log=$root/var/log/windflow-install.log
    work=
    undo=
    committed=
    changed=
    asking=
    unserved=
}

_wf_say() { printf '%s\n' "$*"; }
_wf_note() { printf '%s\n' "$*" >>"$log" 2>/dev/null || true; }
_wf_fail() {
    printf 'windflow: error: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}
_wf_have() { command -v "$1" >/dev/null 2>&1; }

_wf_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --token-file | --name | --label | --local-file)
            [ $# -ge 2 ] || _wf_fail "$1 needs a value"
            case $1 in
            --token-file) token_file=$2 ;;
            --name) name=$2 ;;
            --label) labels=$labels${labels:+,}$2 ;;
            --local-file) local_file=$2 ;;
            esac
            shift
            ;;
        --force-reenroll) force=1 ;;
        --skip-download) skip_download=1 ;;
        --no-start) skip_start=1 ;;
        --token | --token=*) _wf_fail "a token is never an argument: it would show in 'ps' and in the shell's history" \
            "Leave it out to be asked for it, or use --token-file FILE." ;;
        *) _wf_fail "unknown option '$1'" "See the head of this script for all options." ;;
        esac
        shift
    done
}

# --- before anything is touched ---

_wf_preflight() {
    case "$url$quic$ca_pin" in
    *@@*) _wf_fail "this is the template; get the script from your controller:" "curl -fsSL https://CONTROLLER:8443/install.sh" ;;
    esac
    case $url in
    https://*) ;;
    *) _wf_fail "the controller's address must begin with https:// (it is '$url')" ;;
    esac
    [ -n "$root" ] || [ "$(id -u)" = 0 ] || _wf_fail "root is needed to install the agent" \
        "Put 'sudo' before 'sh' at the end of the line."
    [ "$(uname -s)" = Linux ] || _wf_fail "the agent runs on Linux; this is $(uname -s)"
    arch=$(uname -m)
    case $arch in
    x86_64 | amd64) arch=x86_64 want=$sha256_x86_64 ;;
    aarch64 | arm64) arch=aarch64 want=$sha256_aarch64 ;;
    *) _wf_fail "there is no agent for the architecture '$arch'" "Known are x86_64 and aarch64." ;;
    esac
    case "$want" in
    '' | *@@*) [ -n "$skip_download$local_file" ] || _wf_fail "this controller has no agent for $arch" \
        "Give one with --local-file, or install a controller release that carries it." ;;
    esac
    _wf_existing
    _wf_sha_tool
    if [ -z "$local_file$skip_download" ] && ! _wf_have curl; then
        _wf_fail "curl is needed (wget cannot pin the controller's key)" \
            "Install curl, or copy the agent here by hand and use --local-file FILE."
    fi
    _wf_folders
    _wf_clock
}

# The digest is what makes the download trustworthy: no tool, no installation.
_wf_sha_tool() {
    if _wf_have sha256sum; then
        sha_tool=sha256sum
    elif _wf_have shasum; then
        sha_tool='shasum -a 256'
    elif _wf_have openssl; then
        sha_tool='openssl dgst -sha256 -r'
    else
        _wf_fail "no tool for SHA-256 (sha256sum, shasum or openssl): the download could not be checked" "Install coreutils."
    fi
}

_wf_digest() { $sha_tool "$1" | cut -d' ' -f1; }

_wf_existing() {
    enrolled=
    [ -r "$settings" ] || return 0
    old_pin=$(sed -n 's/^CA_PIN=//p' "$settings")
    old_quic=$(sed -n 's/^QUIC=//p' "$settings")
    if [ "$old_pin" = "$ca_pin" ]; then
        [ "$(sed -n 's/^ENROLLED=//p' "$settings")" != 1 ] || enrolled=1
    elif [ -z "$force" ]; then
        _wf_fail "this host already belongs to another controller ($old_quic)" \
            "Run windflow-agent-uninstall.sh first, or use --force-reenroll to move it to $quic."
    fi
}

# Where /usr/local is read-only (immutable distributions), everything goes below /opt.
_wf_folders() {
    lib=$root/usr/local/lib/windflow bin=$root/usr/local/bin
    if ! { mkdir -p "$root/usr/local/lib" && [ -w "$root/usr/local/lib" ]; } 2>/dev/null; then
        lib=$root/opt/windflow bin=$root/opt/bin
    fi
    [ -z "${WINDFLOW_BIN_DIR:-}" ] || bin=$root$WINDFLOW_BIN_DIR
    agent=$lib/current/windflow-agent
    mkdir -p "$root/var/log" 2>/dev/null || log=/dev/null
    { : >>"$log"; } 2>/dev/null || log=/dev/null
    [ "$log" = /dev/null ] || chmod 600 "$log"
    # The new binary is run once before it is put in place: the folder must allow that.
    for folder in "${TMPDIR:-/tmp}" /var/tmp "$root/var/lib"; do
        mkdir -p "$folder" 2>/dev/null || continue
        work=$(mktemp -d "$folder/windflow.XXXXXX" 2>/dev/null) || continue
        printf '#!/bin/sh\nexit 0\n' >"$work/probe" 2>/dev/null && chmod 700 "$work/probe" && "$work/probe" 2>/dev/null && break
        rm -rf "$work"
        work=
    done
    [ -n "$work" ] || _wf_fail "no temporary folder that can be written and run from" \
        "Set TMPDIR to one (tried ${TMPDIR:-/tmp}, /var/tmp, $root/var/lib)."
    chmod 700 "$work"
    free=$(df -Pk "${lib%/*}" 2>/dev/null | awk 'NR == 2 { print $4 }')
    [ "${free:-65536}" -ge 65536 ] || _wf_fail "not enough room below ${lib%/*}: 64 MiB are needed, $((free / 1024)) MiB are free"
}

# TLS fails with a clock that is off; say so before it does.
_wf_clock() {
    [ -z "$local_file$skip_download" ] || return 0
    there=$(_wf_curl -I "$url/healthz" 2>>"$log" | tr -d '\r' | sed -n 's/^[Dd]ate: //p') || there=
    [ -n "$there" ] || return 0
    there=$(date -u -d "$there" +%s 2>/dev/null || date -u -D '%a, %d %b %Y %H:%M:%S' -d "${there% GMT}" +%s 2>/dev/null) || return 0
    skew=$(($(date -u +%s) - there))
    [ "${skew#-}" -le 300 ] || _wf_fail "the clock of this host is off by ${skew#-} s against the controller's" \
        "Set it (timedatectl set-ntp true, or date -s), then run this again."
}

# -k: the controller's certificate is its own; the pin, or the digest in this script, stands for it.
_wf_curl() {
    case $tls_pin in
    '' | *@@*) curl -fsS -k --proto '=https' --tlsv1.2 --connect-timeout 15 --max-time 300 "$@" ;;
    *) curl -fsS -k --pinnedpubkey "sha256//$tls_pin" --proto '=https' --tlsv1.2 --connect-timeout 15 --max-time 300 "$@" ;;
    esac
}

# --- the way back: lines of "verb path", newest first ---

_wf_will_undo() { undo="$*
$undo"; }

# shellcheck disable=SC2329 # called by the trap
_wf_cleanup() {
    code=$?
    trap - EXIT HUP INT TERM
    [ -z "$asking" ] || stty echo </dev/tty 2>/dev/null
    if [ "$code" != 0 ] && [ -z "$committed" ] && [ -n "$undo" ]; then
        _wf_say "undoing what this run did" >&2
        printf '%s\n' "$undo" | while read -r verb path rest; do
            case $verb in
            remove) rm -f "$path" ;;
            folder) rmdir "$path" 2>/dev/null ;;
            tree) rm -rf "$path" ;;
            link) ln -sfn "$rest" "$path" ;;
            restore) cp -p "$rest" "$path" ;;
            reload) [ -n "$no_service" ] || systemctl daemon-reload >/dev/null 2>&1 ;;
            esac || true
        done
    fi
    [ -z "$work" ] || rm -rf "$work"
    if [ "$code" != 0 ] && [ -s "$log" ]; then printf '  The log is %s\n' "$log" >&2; fi
    exit "$code"
}

_wf_make_folder() { # PATH MODE
    if [ ! -d "$1" ]; then
        mkdir -p "$1"
        _wf_will_undo folder "$1"
    fi
    chmod "$2" "$1"
}

# put SOURCE TARGET MODE: replace a file by rename if its content differs; sets `changed`.
_wf_put() {
    if cmp -s "$1" "$2" 2>/dev/null; then return 0; fi
    if [ -e "$2" ]; then
        cp -p "$2" "$work/old.${2##*/}"
        _wf_will_undo restore "$2" "$work/old.${2##*/}"
    else
        _wf_will_undo remove "$2"
    fi
    if ! { cp "$1" "$2.new" && chmod "$3" "$2.new" && mv -f "$2.new" "$2"; }; then
        rm -f "$2.new"
        _wf_fail "$2 could not be written (disk full, or read-only?)"
    fi
    changed=1
}

_wf_link() { # TARGET LINK
    old=$(readlink "$2" 2>/dev/null) || old=
    [ "$old" != "$1" ] || return 0
    if [ -n "$old" ]; then _wf_will_undo link "$2" "$old"; else _wf_will_undo remove "$2"; fi
    ln -sfn "$1" "$2"
    changed=1
}

# --- the steps ---

_wf_binary() {
    target=$lib/versions/$version/windflow-agent
    if [ -n "$skip_download" ]; then
        [ -x "$agent" ] || _wf_fail "--skip-download, but there is no $agent"
        return 0
    fi
    if [ -n "$local_file" ]; then
        [ -r "$local_file" ] || _wf_fail "$local_file cannot be read"
        cp "$local_file" "$work/windflow-agent"
    elif [ -x "$target" ] && [ "$(_wf_digest "$target")" = "$want" ]; then
        _wf_say "the agent $version is already here"
        cp "$target" "$work/windflow-agent"
    else
        _wf_say "downloading the agent $version for $arch"
        _wf_curl -o "$work/windflow-agent" "$url/dl/agent/$arch" 2>"$work/curl.err" || _wf_fail \
            "the agent could not be downloaded from $url: $(cat "$work/curl.err")" "Can this host reach the controller?"
    fi
    case $want in
    '' | *@@*) ;; # only with --local-file: whoever gave the file vouches for it
    *)
        got=$(_wf_digest "$work/windflow-agent")
        [ "$got" = "$want" ] || _wf_fail "the agent's SHA-256 is not the one this script expects; nothing was installed" \
            "expected $want" "got      $got" "Somebody may have changed it on the way. Get a fresh script from the controller."
        ;;
    esac
    chmod 755 "$work/windflow-agent"
    "$work/windflow-agent" --version >>"$log" 2>&1 || _wf_fail "the agent does not start on this host"
    _wf_make_folder "$lib" 755
    _wf_make_folder "$lib/versions" 755
    _wf_make_folder "$lib/versions/$version" 755
    _wf_make_folder "$bin" 755
    _wf_put "$work/windflow-agent" "$target" 755
    _wf_link "versions/$version" "$lib/current"
    _wf_link "${lib#"$root"}/current/windflow-agent" "$bin/windflow-agent"
}

_wf_configuration() {
    _wf_make_folder "$etc" 755
    # Until the host is enrolled nothing in it is worth keeping, a key included.
    [ -d "$state" ] || _wf_will_undo tree "$state"
    mkdir -p "$state"
    chmod 700 "$state"
    : >"$work/agent.env"
    chmod 600 "$work/agent.env"
    for variable in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy DOCKER_HOST; do
        eval "value=\${$variable:-}"
        # shellcheck disable=SC2154 # set by eval
        [ -z "$value" ] || printf '%s=%s\n' "$variable" "$value" >>"$work/agent.env"
    done
    if [ -s "$work/agent.env" ]; then _wf_put "$work/agent.env" "$etc/agent.env" 600; fi
}

_wf_remember() { # ENROLLED
    printf 'URL=%s\nQUIC=%s\nCA_PIN=%s\nVERSION=%s\nENROLLED=%s\n' "$url" "$quic" "$ca_pin" "$version" "$1" >"$work/install.env"
    before=$changed
    _wf_put "$work/install.env" "$settings" 600
    changed=$before
}

_wf_token() {
    if [ -n "$token_file" ]; then
        [ -r "$token_file" ] || _wf_fail "the token file $token_file cannot be read"
        token=$(cat "$token_file")
    elif [ -z "$token" ]; then
        # stdin is this script: the terminal itself is asked.
        if ! (: </dev/tty) 2>/dev/null; then
            _wf_fail "no enrolment token, and no terminal to ask for it" \
                "Use --token-file FILE, WINDFLOW_TOKEN_FILE, or export WINDFLOW_TOKEN and 'sudo --preserve-env=WINDFLOW_TOKEN sh'."
        fi
        # Before the question: a fast paste must not be shown.
        asking=1
        stty -echo </dev/tty 2>/dev/null || true
        printf 'Enrolment token (from "Add a host"): ' >/dev/tty
        IFS= read -r token </dev/tty || token=
        stty echo </dev/tty 2>/dev/null || true
        asking=
        printf '\n' >/dev/tty
    fi
    case $token in
    wfj_*) ;;
    *) _wf_fail "that is not an enrolment token: they begin with wfj_" ;;
    esac
    (umask 077 && printf '%s\n' "$token" >"$work/token")
    token=
}

_wf_enrol() {
    if [ -n "$enrolled" ]; then
        _wf_say "this host is already enrolled with $quic"
        return 0
    fi
    _wf_token
    set -- --controller "$quic" --ca-pin "$ca_pin" --token-file "$work/token"
    [ -z "$name" ] || set -- "$@" --name "$name"
    rest=$labels
    while [ -n "$rest" ]; do
        label=${rest%%,*}
        case $rest in *,*) rest=${rest#*,} ;; *) rest= ;; esac
        [ -z "$label" ] || set -- "$@" --label "$label"
    done
    [ -z "$force" ] || set -- "$@" --force-reenroll
    # 5: no answer. Once more with the same key: if it was the answer that got lost, that gives it again.
    code=0
    "$agent" enroll "$@" >"$work/enroll.out" 2>&1 || code=$?
    if [ "$code" = 5 ]; then
        code=0
        "$agent" enroll "$@" >"$work/enroll.out" 2>&1 || code=$?
    fi
    if [ "$code" != 0 ]; then
        cat "$work/enroll.out" >>"$log" 2>/dev/null || true
        cat "$work/enroll.out" >&2
        _wf_fail "the host could not be enrolled with $quic"
    fi
    rm -f "$work/token"
    cat "$work/enroll.out"
    changed=1
}

_wf_unit() {
    cat >"$work/unit" <<'UNIT'
[Unit]
Description=WindFlow agent
After=network-online.target docker.service podman.socket
Wants=network-online.target
# A network that is broken at boot must not end the agent for good.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/local/bin/windflow-agent run
EnvironmentFile=-/etc/windflow/agent.env
Restart=always
RestartSec=5
WatchdogSec=60
KillMode=mixed
TimeoutStopSec=30

# Root without capabilities: the container engine's socket belongs to root, nothing else needs it.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=

StateDirectory=windflow-agent
StateDirectoryMode=0700
RuntimeDirectory=windflow-agent
ConfigurationDirectory=windflow
UMask=0077
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @mount @debug
SystemCallErrorNumber=EPERM

MemoryMax=256M
TasksMax=4096
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
UNIT
    # Terminals on the host itself: put there, and not enabled. That is the word of the host's owner.
    cat >"$work/socket" <<'SOCKET'
[Unit]
Description=Terminals on this host through WindFlow, for the users that /etc/windflow/policy.toml names

[Socket]
ListenStream=/run/windflow-host-terminal.sock
SocketUser=root
SocketGroup=root
SocketMode=0600
RemoveOnStop=yes
Accept=yes
MaxConnections=64

[Install]
WantedBy=sockets.target
SOCKET
    cat >"$work/part" <<'PART'
[Unit]
Description=WindFlow terminal on this host
CollectMode=inactive-or-failed

[Service]
# One connection of the agent, one process. It becomes a user of the policy, so it keeps the rights of root until then; what
# runs in it may be anything that a login may.
ExecStart=/usr/local/bin/windflow-agent host-terminal
StandardInput=socket
StandardOutput=journal
StandardError=journal
# It ends its session itself; what a user has taken out of it (tmux, nohup) is theirs.
KillMode=process
TimeoutStopSec=10
PART
    if [ "$bin" != "$root/usr/local/bin" ]; then
        for file in unit part; do
            sed "s|^ExecStart=/usr/local/bin/|ExecStart=${bin#"$root"}/|" "$work/$file" >"$work/$file.moved"
            mv "$work/$file.moved" "$work/$file"
        done
    fi
    _wf_make_folder "$units" 755
    _wf_will_undo reload
    _wf_put "$work/unit" "$units/windflow-agent.service" 644
    _wf_put "$work/socket" "$units/windflow-host-terminal.socket" 644
    _wf_put "$work/part" "$units/windflow-host-terminal@.service" 644
}

_wf_initd() {
    cat >"$work/initd" <<'INITD'
#!/sbin/openrc-run
# The WindFlow agent under OpenRC: supervised, started again when it ends.

description="WindFlow agent"
supervisor=supervise-daemon
command=/usr/local/bin/windflow-agent
command_args=run
supervise_daemon_args="--umask 077"
# A network that is broken at boot must not end the agent for good.
respawn_delay=5
respawn_max=0
retry="TERM/30/KILL/5"
rc_ulimit="-n 65536"
output_log=/var/log/windflow-agent.log
error_log=/var/log/windflow-agent.log

depend() {
    use net
    after firewall docker podman
}

start_pre() {
    checkpath --directory --mode 0700 /var/lib/windflow-agent
    checkpath --directory --mode 0700 /run/windflow-agent
    checkpath --file --mode 0600 "$output_log"
    # Not before OpenRC 0.45; its own setting for it names an option that is not there.
    if supervise-daemon --help 2>&1 | grep -q -e --no-new-privs; then
        supervise_daemon_args="$supervise_daemon_args --no-new-privs"
    fi
    # As the systemd unit reads it: one NAME=value a line, nothing is expanded.
    if [ -r /etc/windflow/agent.env ]; then
        while IFS= read -r line; do
            case $line in
            '' | '#'* | [!A-Za-z_]*) ;;
            *=*) export "$line" ;;
            esac
        done </etc/windflow/agent.env
    fi
}
INITD
    if [ "$bin" != "$root/usr/local/bin" ]; then
        sed "s|^command=/usr/local/bin/|command=${bin#"$root"}/|" "$work/initd" >"$work/initd.moved"
        mv "$work/initd.moved" "$work/initd"
    fi
    _wf_make_folder "$root/etc/init.d" 755
    _wf_put "$work/initd" "$root/etc/init.d/windflow-agent" 755
}

_wf_uninstaller() {
    cat >"$work/uninstall" <<'UNINSTALL'
#!/bin/sh
# Removes the WindFlow agent: stops it, takes this host out of the fleet, deletes every file of it. Running stacks stay as
# they are: they belong to the container engine. Files that they mount stay, too, below /var/lib/windflow-agent/work.
#   windflow-agent-uninstall.sh [--purge]     --purge deletes those and agent.toml as well
# If the controller cannot be reached, say so there: `windflow agent remove NAME`, or in the web UI.
set -eu
main() {
    root=@ROOT@ bin=@BIN@ lib=@LIB@ purge=
    case ${1:-} in
    '') ;;
    --purge) purge=1 ;;
    *)
        echo "unknown option '$1'; known is --purge" >&2
        exit 2
        ;;
    esac
    [ -n "$root" ] || [ "$(id -u)" = 0 ] || {
        echo "root is needed to remove the agent: put 'sudo' before the command" >&2
        exit 1
    }
    state=$root/var/lib/windflow-agent
    systemctl=
    if [ -z "$root" ] || [ -n "${WINDFLOW_TEST_SYSTEMCTL:-}" ]; then systemctl=systemctl; fi
    if [ -e "$root/etc/systemd/system/windflow-agent.service" ]; then
        [ -z "$systemctl" ] || systemctl disable --now windflow-agent.service || true
        if [ -e "$root/etc/systemd/system/windflow-host-terminal.socket" ]; then
            [ -z "$systemctl" ] || systemctl disable --now windflow-host-terminal.socket || true
        fi
        rm -f "$root/etc/systemd/system/windflow-agent.service" "$root/etc/systemd/system/windflow-host-terminal.socket" \
            "$root/etc/systemd/system/windflow-host-terminal@.service"
        [ -z "$systemctl" ] || systemctl daemon-reload || true
    fi
    if [ -e "$root/etc/init.d/windflow-agent" ]; then
        if [ -z "$root" ] || [ -n "${WINDFLOW_TEST_OPENRC:-}" ]; then
            rc-service windflow-agent stop || true
            rc-update delete windflow-agent || true
        fi
        rm -f "$root/etc/init.d/windflow-agent" "$root/var/log/windflow-agent.log"
    fi
    if [ -e "$state/controller.toml" ]; then "$lib/current/windflow-agent" leave --force --state-dir "$state" || true; fi
    rm -f "$bin/windflow-agent"
    rm -rf "$lib"
    rm -f "$root/etc/windflow/install.env" "$root/etc/windflow/agent.env" "$root/var/log/windflow-install.log"
    [ -z "$purge" ] || rm -rf "$state" "$root/etc/windflow/agent.toml"
    if [ -d "$state" ]; then
        find "$state" -mindepth 1 -maxdepth 1 ! -name work -exec rm -rf {} +
        rmdir "$state/work" 2>/dev/null || true
        rmdir "$state" 2>/dev/null || echo "kept $state/work: files of stacks that may be running (--purge deletes them)"
    fi
    rmdir "$root/etc/windflow" 2>/dev/null || true
    rm -f "$bin/windflow-agent-uninstall.sh"
    echo "the agent is gone; stacks that ran go on running"
}
{ main "$@"; exit $?; }
UNINSTALL
    sed "s|@ROOT@|'$root'|; s|@BIN@|'$bin'|; s|@LIB@|'$lib'|" "$work/uninstall" >"$work/uninstall.sh"
    before=$changed
    _wf_put "$work/uninstall.sh" "$bin/windflow-agent-uninstall.sh" 755
    changed=$before
}

_wf_service() {
    if [ -n "$no_service" ]; then return 0; fi
    case $init in
    systemd) _wf_unit ;;
    openrc) _wf_initd ;;
    esac
    if [ -n "$offline" ]; then return 0; fi
    [ "$init" != systemd ] || systemctl daemon-reload
    [ -n "$skip_enable" ] || _wf_enable >>"$log" 2>&1
    [ -n "$skip_start" ] || {
        if [ -n "$changed" ] || ! _wf_active; then
            _wf_restart || _wf_fail "the service does not start" "See: $journal"
        else
            _wf_say "nothing has changed; the agent runs on"
        fi
    }
}

_wf_enable() { if [ "$init" = systemd ]; then systemctl enable windflow-agent.service; else rc-update add windflow-agent default; fi; }
_wf_active() { if [ "$init" = systemd ]; then systemctl is-active --quiet windflow-agent.service; else rc-service --quiet windflow-agent status; fi; }
_wf_restart() { if [ "$init" = systemd ]; then systemctl restart windflow-agent.service; else rc-service --quiet windflow-agent restart; fi; }

# Who starts services here: systemd, openrc, or nobody that is known. `offline`: below another root, where nothing is started.
_wf_init() {
    init=systemd
    offline=''
    journal='journalctl -u windflow-agent -n 50'
    if [ -n "$root" ]; then
        if [ -n "${WINDFLOW_TEST_OPENRC:-}" ]; then init=openrc; elif [ -z "${WINDFLOW_TEST_SYSTEMCTL:-}" ]; then offline=1; fi
    elif [ ! -d /run/systemd/system ]; then
        init=none
        if [ -e /run/openrc/softlevel ] && _wf_have rc-service && _wf_have rc-update; then init=openrc; fi
    fi
    [ "$init" != openrc ] || journal='tail -n 50 /var/log/windflow-agent.log'
    [ -n "$no_service" ] || [ "$init" != none ] || no_service=1 unserved=1
}

_wf_connected() {
    [ -z "$no_service$skip_start$offline" ] || return 0
    "$agent" status --wait-connected 60s || _wf_fail "the agent is installed and enrolled, but not connected after 60 s" \
        "It goes on trying. Does UDP to $quic pass the firewall? See: $journal"
}

main() {
    set -eu
    umask 022
    _wf_defaults
    trap _wf_cleanup EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    _wf_options "$@"
    _wf_init
    _wf_preflight
    _wf_note "== $(date -u +%Y-%m-%dT%H:%M:%SZ) installing $version from $url"
    _wf_binary
    _wf_configuration
    _wf_enrol
    _wf_remember 1
    _wf_uninstaller
    # From here on the host is enrolled: a token is used up, so nothing is taken back.
    committed=1
    _wf_service
    _wf_connected
    if [ -n "$unserved" ]; then
        _wf_say "neither systemd nor OpenRC runs here (runit, a container?): nothing starts the agent by itself." \
            "Have your init system run '${bin#"$root"}/windflow-agent run' as root, and restart it when it ends."
    fi
    _wf_say "done; remove it with ${bin#"$root"}/windflow-agent-uninstall.sh"
}
}
{ main "$@"; exit $?; }
