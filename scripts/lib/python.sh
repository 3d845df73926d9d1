# shellcheck shell=bash
# The current AWS CLI and boto3, in a virtual environment of our own: neither the system's Python nor a
# distribution's older CLI is touched. Needs say.sh and CACHE.

VENV=$CACHE/venv

# pip carries certificates of its own; a company's proxy is in the system's bundle.
ca_bundle() {
    local file
    for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        [ -n "$file" ] && [ -f "$file" ] && printf '%s\n' "$file" && return
    done
}

python_ensure() {
    [ -x "$VENV/bin/aws" ] && [ -f "$VENV/.complete" ] && return
    say "AWS CLI and boto3: the current ones from PyPI, into $VENV"
    rm -rf "$VENV"
    quietly python3 -m venv "$VENV"
    local ca
    ca=$(ca_bundle)
    quietly env ${ca:+PIP_CERT="$ca"} "$VENV/bin/pip" install --quiet --disable-pip-version-check awscli boto3
    touch "$VENV/.complete"
    note "$("$VENV/bin/aws" --version 2>&1)"
}

# moto's server, which the engine's benchmark stands beside: of its own, since it pins what the others do not.
moto_ensure() {
    local venv=$CACHE/venv-moto ca
    [ -x "$venv/bin/moto_server" ] && [ -f "$venv/.complete" ] && return
    say "moto's server: from PyPI, into $venv, to compare with"
    rm -rf "$venv"
    quietly python3 -m venv "$venv"
    ca=$(ca_bundle)
    quietly env ${ca:+PIP_CERT="$ca"} "$venv/bin/pip" install --quiet --disable-pip-version-check 'moto[server]'
    touch "$venv/.complete"
}
