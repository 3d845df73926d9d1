#!/bin/sh
# Starts the build's own Docker engine (a privileged build), waits until it answers, then runs the command given.
# docs/notes-build-containers.md says what the container needs for this.
set -eu

log=${DOCKERD_LOG:-/var/log/dockerd.log}

if ! docker version >/dev/null 2>&1; then
    # The engine's containers must stay below the build's own cgroup, or they escape its limits and outlive it.
    # The container shares the host's cgroup namespace, so the path stands in /proc. v1 has a line per controller.
    parent=$(sed -n -e 's/^[0-9]*:memory://p' -e 's/^0:://p' /proc/self/cgroup | head -n 1)
    # v2 forbids a cgroup both processes and controlled children: ours move one level down.
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        own=/sys/fs/cgroup${parent%/}
        mkdir -p "$own/init"
        while read -r pid; do echo "$pid" >"$own/init/cgroup.procs" || :; done <"$own/cgroup.procs" 2>/dev/null
        sed -e 's/ / +/g' -e 's/^/+/' "$own/cgroup.controllers" >"$own/cgroup.subtree_control" || :
    fi
    # What an engine that was killed left behind.
    rm -f /var/run/docker.pid
    setsid dockerd --host=unix:///var/run/docker.sock --cgroup-parent="${parent%/}/docker" \
        >"$log" 2>&1 </dev/null &
    left=300
    until docker version >/dev/null 2>&1; do
        left=$((left - 1))
        if [ "$left" -le 0 ] || ! kill -0 $! 2>/dev/null; then
            echo "dockerd did not start; the end of $log:" >&2
            tail -n 20 "$log" >&2
            exit 1
        fi
        sleep 0.1
    done
fi

[ $# -eq 0 ] || exec "$@"
