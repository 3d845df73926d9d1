# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that read this file
# What deploy.sh and destroy.sh share. Endpoint, region and credentials come from the environment.

APP=${APP:-harbour}
ZONE=${ZONE:-demo.longshore.test}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export AWS_PAGER=

ACCOUNT_ID=$(aws sts get-caller-identity --query Account --output text)
REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region)}}
BUCKET=$APP-artifacts-$ACCOUNT_ID-$REGION

step() { printf -- '--- %s\n' "$*"; }

# A JSON file with its @NAMES@ replaced by the variables of those names.
render() {
    local text name value
    text=$(<"$HERE/$1")
    while [[ $text =~ @([A-Z_]+)@ ]]; do
        name=${BASH_REMATCH[1]}
        value=${!name:?"$1 needs $name"}
        text=${text//"@$name@"/"$value"}
    done
    printf '%s\n' "$text"
}
