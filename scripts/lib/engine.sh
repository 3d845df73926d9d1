# shellcheck shell=bash
# The Docker engine: found where one answers, started where none does.
# Needs say.sh, and CACHE: the folder for what we keep.

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Debian's socket belongs to the group docker; a user who is not in it is told so, rather than shown an
# engine that "does not answer".
engine_refuses_us() {
    [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ] && [ -e /var/run/docker.pid ]
}

# Starts dockerd in a session of its own, so that it outlives this shell, with its log in a file.
# systemd does it better, where it runs.
engine_start() {
    if [ -d /run/systemd/system ]; then
        note "asking systemd for docker.service"
        as_root systemctl start docker.service
    else
        note "no systemd here: starting dockerd by hand, log in $CACHE/dockerd.log"
        engine_forget
        # shellcheck disable=SC2016
        as_root setsid --fork sh -c 'echo $$ >"$1"; exec dockerd --group docker' sh "$CACHE/dockerd.pid" \
            >>"$CACHE/dockerd.log" 2>&1 </dev/null
    fi
    engine_wait
}

# The pid file of an engine that was killed keeps the next one from starting.
engine_forget() {
    local pid
    pid=$(cat /var/run/docker.pid 2>/dev/null) || return 0
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || as_root rm -f /var/run/docker.pid
}

# Waits on the socket: a connection that is refused is no engine yet, one that has ended never will be.
engine_wait() {
    local left=240 pid
    until engine_answers; do
        if engine_refuses_us; then
            die "you may not use the Docker engine: sudo usermod -aG docker $(id -un), then log in again"
        fi
        pid=$(cat "$CACHE/dockerd.pid" 2>/dev/null) || pid=
        if { [ -n "$pid" ] && [ ! -d "/proc/$pid" ]; } || [ "$left" = 0 ]; then
            tail -n 3 "$CACHE/dockerd.log" >&2 || :
            die "dockerd does not answer; its log is $CACHE/dockerd.log (or: journalctl -u docker)"
        fi
        left=$((left - 1))
        sleep 0.25
    done
}

engine_ensure() {
    engine_answers && return
    if [ -n "${DOCKER_HOST:-}" ]; then
        die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST"
    fi
    if ! engine_refuses_us; then
        say "Docker engine: none answers, starting one"
        rm -f "$CACHE/dockerd.pid"
        engine_start
    else
        engine_wait
    fi
}
