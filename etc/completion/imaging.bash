# bash completion: for share/bash-completion/completions, or to be sourced by hand.

_imaging_complete() {
    local command=${1/#\~\//"$HOME/"} words=() at=0 i response type value
    COMPREPLY=()
    case $1 in
    iload | isave | iwait | ilist) command=imaging-${1#i} ;;
    esac
    # --image=NAME has come as three words; click takes it for one
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        if ((i > 1)) && [[ ${COMP_WORDS[i]} == = && ${words[-1]} == --* ]]; then
            words[-1]+='='
        elif ((i > 2)) && [[ ${COMP_WORDS[i - 1]} == = && ${words[-1]} == --*= ]]; then
            words[-1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
        ((i > COMP_CWORD)) || at=$((${#words[@]} - 1))
    done
    local variable=${command##*/}
    variable=${variable//-/_}
    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD="$at" \
        "_${variable^^}_COMPLETE=bash_complete" "$command" 2>/dev/null </dev/null)
    while IFS=, read -r type value; do
        case $type in
        plain) COMPREPLY+=("$value") ;;
        file) compopt -o default ;;
        dir) compopt -o dirnames ;;
        esac
    done <<<"$response"
}

complete -o nosort -F _imaging_complete \
    imaging imaging-config imaging-history imaging-image imaging-info imaging-inventory \
    imaging-leases imaging-list imaging-load imaging-monitor imaging-nextboot imaging-nodes \
    imaging-off imaging-on imaging-ramdisk imaging-reset imaging-save imaging-status \
    imaging-testbed imaging-wait iload isave iwait ilist
