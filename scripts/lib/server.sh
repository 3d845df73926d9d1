# shellcheck shell=bash
# A Longshore for the demo: started, found again, ended. Needs say.sh, binary.sh and DEMO: its folder.

server_answers() {
    [ -f "$DEMO/data/client.json" ] || return
    (eval "$("$BINARY" env --data "$DEMO/data")" && curl -s -o /dev/null --max-time 2 "$AWS_ENDPOINT_URL")
}

# Starts it in a session of its own, so that it stays when the demo has ended, and waits for its `ready` line.
server_start() {
    mkdir -p "$DEMO"
    server_answers && note "it is running already" && return
    : >"$DEMO/ready"
    setsid "$BINARY" up --data "$DEMO/data" >"$DEMO/ready" 2>>"$DEMO/longshore.log" </dev/null &
    local pid=$!
    printf '%s\n' "$pid" >"$DEMO/pid"
    # Not ours to wait for: the shell must not report its end.
    disown
    until grep -q '^ready' "$DEMO/ready"; do
        kill -0 "$pid" 2>/dev/null || { tail -n 3 "$DEMO/longshore.log" >&2; die "longshore did not start"; }
        sleep 0.05
    done
    note "$(head -n 1 "$DEMO/ready")"
}

# Points this shell's aws and git at it, and keeps the user's own logins and settings out.
server_use() {
    local lines
    lines=$("$BINARY" env --data "$DEMO/data") || die "longshore env failed"
    eval "$lines"
    export PATH=$CACHE/venv/bin:$PATH
    export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_PAGER=
    export DOCKER_CONFIG=$DEMO/docker
}

# Ends the control plane that we started: its program is compared, since a pid may be another's by now.
server_stop() {
    local pid
    pid=$(cat "$DEMO/pid" 2>/dev/null) || return 0
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = longshore ]; then
        kill "$pid"
        while [ -d "/proc/$pid" ]; do sleep 0.1; done
    fi
    rm -f "$DEMO/pid"
}
