# Short names and node selection for imaging; for /etc/profile.d, or to be sourced by hand.
#
#   iload isave iwait ilist   the commands imaging-load, -save, -wait and -list
#   all-nodes                 NODES = $ALL_NODES, or else all nodes of the site
#   focus-nodes-on            NODES = those of $NODES that are turned on
#
# The commands that work on nodes take those of $NODES when they are given none.

unalias iload isave iwait ilist 2>/dev/null || :  # an alias would break the definitions below

iload() { imaging-load "$@"; }
isave() { imaging-save "$@"; }
iwait() { imaging-wait "$@"; }
ilist() { imaging-list "$@"; }

_imaging_all_nodes() {
    if [ -n "${ALL_NODES-}" ]; then
        NODES=$ALL_NODES
    else
        local names
        names=$(imaging-nodes -a) || return
        NODES=$(printf '%s' "$names" | tr '\n' ' ')
    fi
    export NODES
}

# Some cards may not answer: then NODES is what the others say, and the status is not 0. When
# there is no answer at all, NODES stays as it was.
_imaging_focus_nodes_on() {
    local answer outcome
    outcome=0
    answer=$(NODES=${NODES-} imaging-nodes --on --export) || outcome=$?
    case $answer in
    "export NODES="*)
        answer=${answer#export NODES=}
        answer=${answer#\'}
        NODES=${answer%\'}
        export NODES
        ;;
    esac
    return "$outcome"
}

# To a POSIX shell a dash in a function's name is an error, at once and for good; an alias may have
# one, and these shells expand aliases in scripts too. With bash it is the other way round.
case ${BASH_VERSION:+bash}${ZSH_VERSION:+zsh}:${SHELLOPTS-} in
:* | *posix*)
    alias all-nodes=_imaging_all_nodes focus-nodes-on=_imaging_focus_nodes_on
    ;;
*)
    eval 'all-nodes() { _imaging_all_nodes; }; focus-nodes-on() { _imaging_focus_nodes_on; }'
    ;;
esac
