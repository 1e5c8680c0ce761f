#compdef paddlesrv
# Completion of paddlesrv for zsh; made by: paddlesrv completion zsh
_paddlesrv() {
    local line
    local -a found
    for line in "${(@f)$("${words[1]/#\~/$HOME}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#found )); then
        _describe -V paddlesrv found
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _paddlesrv ]]; then
    _paddlesrv "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
    compdef _paddlesrv paddlesrv
fi
