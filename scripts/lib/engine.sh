# shellcheck shell=bash
# The Docker engine: found where one answers, started where none does.
# Needs say.sh, and CACHE: the folder for what we keep.

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Debian's socket belongs to the group docker; a user who is not in it is told so
# rather than shown an engine that "does not answer".
engine_denied() {
    [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]
}

# Starts dockerd in a session of its own, so that it outlives this shell, with its log
# in a file. systemd or sysvinit would do better, and are used where they run.
engine_start() {
    if [ -d /run/systemd/system ]; then
        note "asking systemd for docker.service"
        as_root systemctl start docker.service
    else
        local log="$CACHE/dockerd.log"
        note "no systemd here: starting dockerd by hand, log in $log"
        # A pid file of an engine that was killed keeps the next one from starting.
        # shellcheck disable=SC2016
        as_root sh -c 'pid=$(cat /var/run/docker.pid 2>/dev/null) &&
            [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != dockerd ] && rm -f /var/run/docker.pid; :'
        as_root setsid --fork dockerd --group docker >>"$log" 2>&1 </dev/null
    fi
    engine_wait
}

# Waits on the socket: a connection that is refused is no engine yet.
engine_wait() {
    local left=120
    until engine_answers; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || die "dockerd does not answer: the reason stands at the end of $CACHE/dockerd.log"
        sleep 0.5
    done
}

engine_ensure() {
    engine_answers && return
    if [ -n "${DOCKER_HOST:-}" ]; then
        die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST"
    fi
    if engine_denied && [ -e /var/run/docker.pid ]; then
        die "you may not use the Docker engine: sudo usermod -aG docker $(id -un), then log in again"
    fi
    say "Docker engine: none answers, starting one"
    engine_start
}
