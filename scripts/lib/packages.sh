# shellcheck shell=bash
# Debian and Ubuntu packages: what each purpose needs, and why. Needs say.sh.

# purpose | test that it is there | package | why
# Purposes stand on each other: test needs what demo needs, bench too.
PACKAGES='
demo  | has cc                | build-essential          | the linker and C compiler that Rust crates need
demo  | has git               | git                      | CodeCommit serves git, and you push with it
demo  | has curl              | curl                     | asks the deployed page
demo  | has jq                | jq                       | the scripts read JSON with it
demo  | has dig               | bind9-dnsutils           | dig asks the DNS server of Route 53
demo  | has_engine            | docker.io                | the Docker Engine runs builds and tasks
demo  | has_apparmor          | apparmor                 | where the kernel has AppArmor, Docker needs its parser
demo  | has setcap            | libcap2-bin              | lets the binary use port 80 without being root
demo  | has nft               | nftables                 | security groups, inside the network of each task
demo  | has debootstrap       | debootstrap              | makes the base images; none is pulled
demo  | has_debian_keyring    | debian-archive-keyring   | verifies what debootstrap fetches
demo  | has_venv              | python3-venv             | a private home for the current AWS CLI
test  | has skopeo            | skopeo                   | a second client of the registry
test  | has_static_busybox    | busybox-static           | all that is in the images that tests make
test  | has openssl           | openssl                  | makes certificates by hand, and verifies chains
test  | has_aws2              | awscli                   | AWS CLI 2, a further client (where the distribution has it)
bench | has nginx             | nginx-light              | the proxy to compare with; never started as a service
bench | has wrk               | wrk                      | the load generator
bench | has javac             | openjdk-17-jdk-headless  | the same build by hand
bench | has mvn               | maven                    | the same build by hand
'
readonly PACKAGES

# An engine may live elsewhere (DOCKER_HOST, Docker Desktop) or come from Docker's own packages.
has_engine() { has docker && { has dockerd || engine_answers; }; }
has_debian_keyring() { [ -f /usr/share/keyrings/debian-archive-keyring.gpg ]; }
has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

# It has to run where there is no library.
has_static_busybox() { [ -x /usr/bin/busybox ] && ! ldd /usr/bin/busybox >/dev/null 2>&1; }

has_apparmor() {
    [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || has apparmor_parser
}

# Debian has AWS CLI 2; Ubuntu has 1 or none, and the tests that need 2 pass it over there.
has_aws2() { [ -x /usr/bin/aws ] || ! grep -qx 'ID=debian' /etc/os-release; }

# Whether PURPOSE ($1) includes what is marked for $2.
purpose_includes() { [ "$2" = demo ] || [ "$1" = "$2" ] || [ "$1" = all ]; }

# Installs what PURPOSE needs and is not there, saying what and why.
packages_ensure() {
    local purpose=$1 marked check package why missing=()
    while IFS='|' read -r marked check package why; do
        read -r marked <<<"$marked"
        read -r package <<<"$package"
        [ -n "$marked" ] || continue
        purpose_includes "$purpose" "$marked" || continue
        # The check is a word or two, split on purpose.
        # shellcheck disable=SC2086
        $check && continue
        [ ${#missing[@]} -gt 0 ] || say "installing packages (apt)"
        note "$package:$why"
        missing+=("$package")
    done <<<"$PACKAGES"
    [ ${#missing[@]} -gt 0 ] || return 0
    has apt-get || die "install these by your system's own means, then run this again: ${missing[*]}"
    packages_install "${missing[@]}"
}

packages_install() {
    local package
    for package in "$@"; do
        [ "$package" = nginx-light ] && nginx_masked
    done
    quietly as_root apt-get update
    # RUNLEVEL keeps a machine without systemd from starting what is installed.
    quietly as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y --no-install-recommends "$@"
}

# The benchmark runs an nginx of its own; the package's service would take port 80.
nginx_masked() {
    if [ -d /run/systemd/system ]; then quietly as_root systemctl mask nginx.service; fi
}
