# shellcheck shell=bash
# Shared by every script in this folder. Source it after `set -euo pipefail`.
#
# It gives: ROOT (the tree), TARGET (cargo's target directory), the words say/warn/die, bounded retries and waits,
# package installation that never touches the package manager when nothing is missing, and process helpers that only
# ever end what this run has started.

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
SETUP_LOG=$ROOT/target/setup.log
export ROOT TARGET SETUP_LOG
mkdir -p "$ROOT/target"

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND…: run as root, by sudo where needed.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "this step needs root ('$*'): run it as root, or install sudo"
    fi
}

# retry TIMES PAUSE COMMAND…: run until it succeeds, at most TIMES times, PAUSE seconds apart.
retry() {
    local times=$1 pause=$2 n
    shift 2
    for ((n = 1; n <= times; n++)); do
        if "$@"; then return 0; fi
        if ((n < times)); then sleep "$pause"; fi
    done
    return 1
}

# wait_for SECONDS COMMAND…: poll a condition five times a second; false when the bound is reached.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= end)); then return 1; fi
        sleep 0.2
    done
}

# logged WHAT COMMAND…: run quietly, keep the output in SETUP_LOG, show its end when it fails.
logged() {
    local what=$1 start
    shift
    touch "$SETUP_LOG"
    start=$(wc -c <"$SETUP_LOG")
    printf '\n== %s: %s\n' "$what" "$*" >>"$SETUP_LOG"
    if "$@" >>"$SETUP_LOG" 2>&1; then return 0; fi
    warn "$what failed; the end of its output ($SETUP_LOG has all of it):"
    tail -c "+$((start + 1))" "$SETUP_LOG" | tail -n 15 >&2
    return 1
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}

# apt_refresh: fetch the package lists once a run.
APT_REFRESHED=${APT_REFRESHED:-}
apt_refresh() {
    [ -z "$APT_REFRESHED" ] || return 0
    retry 3 5 apt_get update
    APT_REFRESHED=1
}

# ensure_packages WHY PACKAGE…: install those Debian packages that are not there. No package manager runs if all are.
ensure_packages() {
    local why=$1 missing=() package
    shift
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    have apt-get || die "$why needs ${missing[*]}; there is no apt-get here, install them by hand"
    say "installing ${missing[*]} ($why)"
    logged "apt-get update" apt_refresh || die "the package lists could not be fetched; is the network there?"
    logged "apt-get install" retry 3 5 apt_get install -y --no-install-recommends "${missing[@]}" ||
        die "${missing[*]} could not be installed; see $SETUP_LOG"
}

# need_room FOLDER MIB WHAT: say how much is free where FOLDER lies, and stop if it is less than that. A full disk shows as
# anything but a full disk: broken builds, engines that do not answer, I/O errors.
need_room() {
    local folder=$1 need=$2 what=$3 free
    while [ ! -d "$folder" ]; do folder=$(dirname -- "$folder"); done
    free=$(df -Pm -- "$folder" | awk 'NR == 2 { print $4 }')
    say "disk: $free MiB free at $folder, $what needs about $need MiB"
    ((free >= need)) || die "not enough room at $folder: $free MiB are free, $what needs about $need MiB; make some, for example with \
'cargo clean' here (WINDFLOW_ROOM_MIB=0 skips this check)"
}

# started_at PID: the kernel's start time of a process, so that a reused number is never mistaken for it.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# alive PID [START]: is that very process still running (and not a zombie)?
alive() {
    local state
    state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f1) || return 1
    [ -n "$state" ] && [ "$state" != Z ] && { [ -z "${2:-}" ] || [ "$(started_at "$1")" = "$2" ]; }
}
gone() { ! alive "$@"; }

# stop_process PID [SECONDS] [START]: TERM, wait with a bound, then KILL.
stop_process() {
    local pid=$1 seconds=${2:-15} start=${3:-}
    alive "$pid" "$start" || return 0
    kill -TERM "$pid" 2>/dev/null || return 0
    wait_for "$seconds" gone "$pid" "$start" || kill -KILL "$pid" 2>/dev/null || true
}

# port_free PORT: nothing listens on it (TCP or UDP, any address).
port_free() {
    local hex
    hex=$(printf '%04X' "$1")
    ! awk -v port=":$hex" 'FNR > 1 && substr($2, length($2) - 4) == port && ($4 == "0A" || $4 == "07") { hit = 1 } END { exit !hit }' \
        /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null
}

# free_port FIRST: the first free port from FIRST upwards.
free_port() {
    local port
    for ((port = $1; port < $1 + 200; port++)); do
        if port_free "$port"; then
            echo "$port"
            return 0
        fi
    done
    die "no free port between $1 and $(($1 + 199))"
}
