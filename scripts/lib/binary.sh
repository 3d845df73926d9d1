# shellcheck shell=bash
# The one static binary, as the demo, the end-to-end tests and the benchmarks use it. Needs say.sh and ROOT.

# Static, since it is mounted into containers of any image. The flag stands here and not in .cargo/config.toml:
# there it would reach the host's own builds too, and a procedural macro cannot be static. With --target cargo
# keeps it from build scripts and macros. Random numbers come from the kernel and the processor: aws-lc would also time
# the processor's jitter, which costs every process a tenth of a second before its first one.
release_build() {
    # shellcheck disable=SC2046
    (cd "$ROOT" && AWS_LC_SYS_NO_JITTER_ENTROPY=1 RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
        cargo rustc --release --locked --target "$(host_target)" --package longshore "$@" -- $(packed))
}

# Three megabytes of relocations, which every start reads through, take thirty kilobytes packed. The C library that is
# linked in must know how to read them.
packed() {
    local oldest
    oldest=$(printf '%s\n' "glibc 2.36" "$(getconf GNU_LIBC_VERSION 2>/dev/null)" | sort --version-sort | head -n 1)
    [ "$oldest" != "glibc 2.36" ] || printf -- '-C link-arg=-Wl,-z,pack-relative-relocs'
}

binary_build() {
    say "longshore: building the binary (release, static)"
    release_build --bin longshore
    BINARY=$(binary_path)
    [ -x "$BINARY" ] || die "cargo built no $BINARY"
}

# The engine with actions that do nothing, for its benchmark: built as the binary is, so that both share what they are
# built of.
engine_build() {
    say "longshore: building the engine's benchmark (release)"
    release_build --example engine --features bench
    # shellcheck disable=SC2034
    ENGINE="$(dirname "$(binary_path)")/examples/engine"
}

# The binary that was built before; what it started can be ended by it, however old it is.
binary_find() {
    BINARY=$(binary_path)
    [ -x "$BINARY" ] || binary_build
}

binary_path() { printf '%s\n' "${CARGO_TARGET_DIR:-$ROOT/target}/$(host_target)/release/longshore"; }

host_target() { rustc -vV | sed -n 's/^host: //p'; }

# A load balancer listens on port 80, which takes root or this capability.
binary_permit() {
    [ "$(id -u)" = 0 ] && return
    getcap "$BINARY" 2>/dev/null | grep -q cap_net_bind_service && return
    note "letting the binary listen on port 80 (setcap), for the load balancers"
    as_root setcap cap_net_bind_service=+ep "$BINARY"
}
