# Completion of paddlesrv for bash 4.4 or later; made by: paddlesrv completion bash
_paddlesrv() {
    local found value
    COMPREPLY=()
    while IFS=$'\t' read -r found _; do
        printf -v value '%q' "$found"
        COMPREPLY+=("$value")
    done < <("${1/#\~/$HOME}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
# Where nothing is known, file names.
complete -o nosort -o default -F _paddlesrv paddlesrv
