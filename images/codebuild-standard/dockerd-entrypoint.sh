#!/bin/sh
# Starts the build's own Docker engine (a privileged build), then runs the command given. It does not wait for the engine:
# its socket is there, and whoever connects waits until it serves. docs/notes-build-containers.md says what the container
# needs for this.
set -eu

log=${DOCKERD_LOG:-/var/log/dockerd.log}
socket=/var/run/docker.sock

if ! { [ -S "$socket" ] && docker version >/dev/null 2>&1; }; then
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
    rm -f /var/run/docker.pid "$socket"
    # As systemd hands sockets over: descriptor 3, and the engine's own process id in LISTEN_PID. When the engine ends,
    # the socket refuses, and why it ended is told.
    LISTEN_FDS=1 LOG=$log PARENT=${parent%/}/docker python3 - "$socket" <<'PYTHON'
import os, shutil, socket, subprocess, sys
listener = socket.socket(socket.AF_UNIX)
os.umask(0o117)
listener.bind(sys.argv[1])
try:
    shutil.chown(sys.argv[1], group="docker")
except LookupError:
    pass
listener.listen(128)
os.dup2(listener.fileno(), 3)
engine = r"""
sh -c 'LISTEN_PID=$$ exec dockerd --host=fd:// --cgroup-parent="$PARENT"' >"$LOG" 2>&1 && status=0 || status=$?
exec 3>&-
echo "The Docker daemon ended with status $status; the end of $LOG:" >&2
tail -n 20 "$LOG" >&2
"""
os.umask(0o022)
subprocess.Popen(["sh", "-c", engine], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[3],
                 start_new_session=True)
PYTHON
fi

[ $# -eq 0 ] || exec "$@"
