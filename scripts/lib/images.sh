# shellcheck shell=bash
# The images that we make: their recipes' hashes, the cache, and the making.
# Needs say.sh and engine.sh, ROOT: the repository, CACHE: the folder for what we keep, and IMAGES_KEPT: true where
# archives of them are kept.

# Every image, in the order in which they stand on each other: NAME TAG PARENT...
IMAGES=(
    'debian bookworm'
    'test-base 1 debian'
    'codebuild-standard 7.0 debian'
    'java17-runtime 1 debian codebuild-standard'
)
readonly IMAGES

image_row() {
    local row
    for row in "${IMAGES[@]}"; do
        [ "${row%% *}" = "$1" ] && printf '%s\n' "$row" && return
    done
    die "no image is called '$1'; there are: $(image_names | tr '\n' ' ')"
}

image_names() { printf '%s\n' "${IMAGES[@]%% *}"; }

image_tag() {
    local name tag
    read -r name tag _ <<<"$(image_row "$1")"
    printf 'longshore/%s:%s\n' "$name" "$tag"
}

image_parents() {
    local parents
    read -r _ _ parents <<<"$(image_row "$1")"
    printf '%s\n' "$parents"
}

# The hash of an image's folder and of the recipes it stands on.
image_hash() {
    local parent
    {
        (cd "$ROOT/images/$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
        for parent in $(image_parents "$1"); do image_hash "$parent"; done
        uname -m
    } | sha256sum | cut -c1-16
}

image_is_made() {
    [ "$(docker image inspect --format '{{index .Config.Labels "dev.longshore.recipe"}}' \
        "$(image_tag "$1")" 2>/dev/null)" = "$2" ]
}

# A recipe's folder with what its file `downloads` names (a line each: SHA-256 and URL). The host fetches them, since it
# knows its own proxy and its own certificates.
image_context() {
    local name=$1 context=$2 sum url file
    cp -R "$ROOT/images/$name/." "$context"
    [ -f "$context/downloads" ] || return 0
    while read -r sum url; do
        file=$context/${url##*/}
        quietly curl --fail --silent --show-error --location --retry 3 --max-time 300 --output "$file" "$url"
        quietly sha256sum --check --quiet <<<"$sum  $file"
    done <"$context/downloads"
}

# The shared base comes from debootstrap, which needs root; the rest are Dockerfiles upon it.
image_make() (
    local name=$1 hash=$2 tag
    tag=$(image_tag "$name")
    if [ -x "$ROOT/images/$name/rootfs" ]; then
        local tar
        # Our own file, so that what root writes into it is ours to remove; not in /tmp, where the kernel
        # keeps even root from writing into a file of another.
        tar=$(mktemp "$CACHE/rootfs.XXXXXX")
        trap 'rm -f "$tar"' EXIT
        quietly as_root "$ROOT/images/$name/rootfs" "$tar"
        quietly docker import --change "LABEL dev.longshore.recipe=$hash" --change 'CMD ["/bin/sh"]' \
            "$tar" "$tag"
    else
        local context
        context=$(mktemp -d "$CACHE/context.XXXXXX")
        trap 'rm -rf "$context"' EXIT
        image_context "$name" "$context"
        # The host's network: apt inside reaches what apt outside reaches.
        quietly docker build --network host --label "dev.longshore.recipe=$hash" --tag "$tag" "$context"
        # The first stages of a Dockerfile stay behind without a name.
        quietly docker image prune --force --filter label=dev.longshore.stage
    fi
)

# One writer of a file at a time may be killed in between: written beside, then renamed.
image_save() {
    local file=$1 tag=$2
    docker save --output "$file.part" "$tag" && mv "$file.part" "$file"
}

# An archive for an engine that has no image yet, as test machines have. It is as large as the image: nobody waits for
# it who only wants to see the demo.
image_keep() {
    local name=$1 file=$2
    [ "${IMAGES_KEPT:-false}" = true ] && [ ! -f "$file" ] || return 0
    mkdir -p "$CACHE/images"
    rm -f "$CACHE/images/$name"-*.tar
    image_save "$file" "$(image_tag "$name")"
}

# Makes one image and what it stands on, unless it is there.
image_ensure() {
    local name=$1 hash file parent before started=$SECONDS
    hash=$(image_hash "$name")
    file="$CACHE/images/$name-$hash.tar"
    if image_is_made "$name" "$hash"; then
        image_keep "$name" "$file"
        return
    fi
    if [ -f "$file" ]; then
        say "image $(image_tag "$name"): loading it from $file"
        quietly docker load --input "$file"
        image_is_made "$name" "$hash" && return
        note "the archive holds another image; making it anew"
    fi
    for parent in $(image_parents "$name"); do image_ensure "$parent"; done
    say "image $(image_tag "$name"): building it from Debian's packages, once"
    before=$(docker image inspect --format '{{.Id}}' "$(image_tag "$name")" 2>/dev/null) || before=
    image_make "$name" "$hash"
    # Its predecessor has no name any more; where something still stands on it, it stays.
    [ -z "$before" ] || docker image rm "$before" >/dev/null 2>&1 || :
    image_keep "$name" "$file"
    note "took $((SECONDS - started)) s"
}

# Makes the images named; two runs at once make them once.
images_ensure() {
    local name
    mkdir -p "$CACHE"
    exec 9>"$CACHE/images.lock"
    flock 9
    for name in "$@"; do image_ensure "$name"; done
    exec 9>&-
}
