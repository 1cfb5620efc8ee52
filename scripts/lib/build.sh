# shellcheck shell=bash
# Building the web UI and the binaries. Needs lib/common.sh.

# build_ui: web-ui/dist is what its source says. The install step runs only when the lock file has changed.
build_ui() {
    local ui=$ROOT/web-ui key
    [ -e "$ui/package-lock.json" ] || return 0
    "$ROOT/scripts/setup" node
    key=$(sha256sum <"$ui/package-lock.json")
    if [ "$(cat "$ui/node_modules/.windflow-lock" 2>/dev/null)" != "$key" ]; then
        say "installing the web UI's packages"
        (cd "$ui" && logged "npm ci" retry 3 5 npm ci --no-audit --no-fund) || die "the web UI's packages could not be installed"
        printf '%s\n' "$key" >"$ui/node_modules/.windflow-lock"
    fi
    key=$(cd "$ui" && find . -path ./node_modules -prune -o -path ./dist -prune -o -type f -print0 | sort -z |
        xargs -0 sha256sum | sha256sum)
    if [ "$(cat "$ui/dist/.windflow-input" 2>/dev/null)" = "$key" ]; then return 0; fi
    say "building the web UI"
    (cd "$ui" && logged "npm run build" npm run build) || die "the web UI could not be built"
    printf '%s\n' "$key" >"$ui/dist/.windflow-input"
}

# build_binaries: the three programs, in the profile that the tests use. Sets BIN to their folder.
# WINDFLOW_BUILD_ALL=1 (a test run) selects the whole workspace, so that no dependency is compiled twice with other features.
build_binaries() {
    local packages=(--package windflow-agent --package windflow-controller --package windflow-client)
    [ -z "${WINDFLOW_BUILD_ALL:-}" ] || packages=(--workspace --bins)
    say "building the controller, the agent and the command line"
    cargo build --locked --quiet "${packages[@]}" || die "the binaries could not be built"
    BIN=$TARGET/debug
    export BIN
}
