# shellcheck shell=bash
# Sourced by scripts/s3-server and scripts/azure-server: a server for tests, installed into a git-ignored folder of its
# own in the checkout, .NAME/. `failed` in it says why it is not there, `ready-...` that it is, of these very files.
#   begin NAME WHAT ARGUMENT FILE...   ends with 0 when it is there, and with 9 when a try failed within the last hour
#                                      (the argument --again tries once more); else makes the empty folder $folder
#   give_up WHY                        ends with 9, and one line that says why
#   finish                             it is there

begin() {
    name=$1 what=$2 argument=$3 folder=$PWD/.$1
    shift 3
    ready=$folder/ready-$(cat "$@" | sha256sum | cut -c1-16)
    if [ "$argument" != --again ]; then
        [ ! -e "$ready" ] || exit 0
        if [ -n "$(find "$folder/failed" -mmin -60 2>/dev/null)" ]; then
            echo "$name: $what is not here: $(cat "$folder/failed"); what needs it is skipped" \
                "(scripts/$name --again tries once more)" >&2
            exit 9
        fi
    fi
    echo "$name: preparing .$name"
    rm -rf "$folder"
    mkdir -p "$folder"
    printf '*\n' >"$folder/.gitignore"
}

give_up() {
    printf '%s\n' "$1" >"$folder/failed"
    echo "$name: $what is not here: $1; what needs it is skipped" >&2
    exit 9
}

finish() {
    touch "$ready"
}
