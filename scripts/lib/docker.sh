# shellcheck shell=bash
# The container engine for runs and tests, and the images that tests use. Needs lib/common.sh.
#
# A running engine is always left alone. Where there is none, Debian's is installed and started: by systemd where that is
# PID 1, by hand otherwise. Who started one by hand is recorded, so that a test run can end its own engine and no other.

ENGINE_RECORD=/var/run/windflow-engine
ENGINE_LOG=/var/log/windflow-dockerd.log

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# The engine does not put itself into cgroup hierarchies that are not mounted; containers and some virtual machines lack them.
engine_mount_cgroups() {
    [ -e /sys/fs/cgroup/cgroup.controllers ] && return 0
    mountpoint -q /sys/fs/cgroup && return 0
    as_root mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

engine_spawn() {
    # A dead engine's pidfile would stop the new one.
    local old
    old=$(cat /var/run/docker.pid 2>/dev/null || true)
    if [ -n "$old" ] && gone "$old"; then as_root rm -f /var/run/docker.pid; fi
    # shellcheck disable=SC2016 # expanded by the inner shell
    as_root sh -c 'setsid dockerd --pidfile /var/run/docker.pid >>"$1" 2>&1 </dev/null 9>&- & echo $! >"$2.pid"' sh \
        "$ENGINE_LOG" "$ENGINE_RECORD"
}

engine_record() {
    local pid
    pid=$(cat /var/run/docker.pid)
    printf '%s %s\n' "$pid" "$(started_at "$pid")" | as_root tee "$ENGINE_RECORD" >/dev/null
    as_root rm -f "$ENGINE_RECORD.pid"
}

# engine_up: an engine answers afterwards. Prints what it did, if anything.
engine_up() {
    have docker && engine_answers && return 0
    have dockerd || ensure_packages "the container engine" docker.io iptables ca-certificates
    engine_answers && return 0
    if [ -d /run/systemd/system ]; then
        as_root systemctl start docker
    else
        # Another run may be starting it at this moment: one at a time.
        # shellcheck disable=SC2153 # ROOT comes from lib/common.sh
        exec 9>"$ROOT/target/.engine.lock"
        flock -w 120 9 || die "another run has been starting the engine for 120 s"
        if ! engine_answers; then
            engine_mount_cgroups
            engine_spawn
            if wait_for 60 engine_answers; then
                engine_record
                say "started the container engine (log: $ENGINE_LOG)"
            fi
        fi
        exec 9>&-
    fi
    wait_for 30 engine_answers || {
        as_root tail -n 15 "$ENGINE_LOG" >&2 || true
        die "the container engine does not answer; is this user allowed to use /var/run/docker.sock?"
    }
}

# engine_down: end the engine that a script of ours has started by hand; any other one stays.
engine_down() {
    local pid start
    [ -r "$ENGINE_RECORD" ] || return 0
    read -r pid start <"$ENGINE_RECORD" || return 0
    if alive "$pid" "$start"; then
        as_root kill -TERM "$pid"
        wait_for 40 gone "$pid" "$start" || warn "the container engine (process $pid) has not ended within 40 s"
    fi
    as_root rm -f "$ENGINE_RECORD"
}

# import_image NAME CHANGES… <tar: one layer with Dockerfile-style settings.
import_image() {
    local name=$1 change arguments=()
    shift
    for change in "$@"; do arguments+=(--change "$change"); done
    docker import "${arguments[@]}" - "$name" >/dev/null
}

# busybox_root FOLDER: a root file system of one static program, every applet linked, and what name lookups need.
busybox_root() {
    local root=$1 applet
    mkdir -p "$root"/{bin,etc,tmp,root,www,proc,sys,dev}
    cp "$(command -v busybox)" "$root/bin/busybox"
    chmod 755 "$root/bin/busybox"
    while read -r applet; do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done < <("$root/bin/busybox" --list)
    chmod 1777 "$root/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf '<!doctype html><title>windflow-test</title>\n<p>it works\n' >"$root/www/index.html"
}

# image_current NAME KEY: the image exists and was built from the same input.
image_current() { [ "$(docker image inspect --format '{{index .Config.Labels "windflow.build"}}' "$1" 2>/dev/null)" = "$2" ]; }

# build_image NAME FOLDER-FUNCTION CHANGES…: call the function with an empty folder to fill, import what it made.
build_image() {
    local name=$1 fill=$2 key root
    shift 2
    key=$({
        sha256sum "$(command -v busybox)" "${BASH_SOURCE[0]}"
        printf '%s\n' "$name" "$@"
        declare -f "$fill"
    } | sha256sum | cut -c1-16)
    image_current "$name" "$key" && return 0
    root=$(mktemp -d "$ROOT/target/image.XXXXXX")
    "$fill" "$root"
    tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - . |
        import_image "$name" "$@" "LABEL windflow.build=$key"
    rm -rf "$root"
    say "built the image $name"
}

# The images tests rely on. `:2` differs in one file only, for updates that must recreate a container.
test_root_2() {
    busybox_root "$1"
    printf '<!doctype html><title>windflow-test 2</title>\n<p>it works, version 2\n' >"$1/www/index.html"
}
test_images() {
    local path='ENV PATH=/bin'
    build_image windflow-test/busybox:1 busybox_root "$path" 'CMD ["/bin/sh"]' 'WORKDIR /'
    build_image windflow-test/busybox:2 test_root_2 "$path" 'CMD ["/bin/sh"]' 'WORKDIR /'
}

# The image of examples/hello: the same root, with the example's page and its greeter.
hello_root() {
    busybox_root "$1"
    install -m 644 "$ROOT/examples/hello/page.html" "$1/www/index.html"
    install -m 755 "$ROOT/examples/hello/greet.sh" "$1/bin/greet"
}
example_images() {
    build_image windflow-example/hello:1 hello_root 'ENV PATH=/bin' 'CMD ["/bin/sh"]' \
        "LABEL org.example.input=$(cat "$ROOT"/examples/hello/{page.html,greet.sh} | sha256sum | cut -c1-16)"
}
