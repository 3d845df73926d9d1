# shellcheck shell=bash
# How every script here talks: a step, a note, an end with what to do.

# A heading, so that a reader sees where the time goes.
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

# A detail below a heading.
note() { printf '    %s\n' "$*" >&2; }

# One line that says what to do, then the end.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Administrators' programs (nft, dockerd, debootstrap) are not in every user's PATH.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root: as itself where we are root, else through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        die "this step needs root and there is no sudo here: run as root: $*"
    fi
}

# Quiet when it works; the end of its output when it does not.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        die "failed with status $status: $*"
    fi
    rm -f "$log"
}
