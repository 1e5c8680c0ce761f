# Completion of paddlesrv for fish; made by: paddlesrv completion fish
function __paddlesrv_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -q last[1]; or set last ''
    set -l found (command $words[1] __complete -- $words[2..-1] $last 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path $last
    end
end
complete -c paddlesrv -f -k -a '(__paddlesrv_complete)'
