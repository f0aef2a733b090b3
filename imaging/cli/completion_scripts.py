"""The completion scripts of bash, zsh and fish: ``make completions`` writes ``etc/completion``.

They ask the command that is being typed, in click's way: with ``_IMAGING_LOAD_COMPLETE`` set, and
the words in ``COMP_WORDS``, imaging-load prints what can follow. Click's own scripts are not used,
since they show errors, cut values at commas, and do not complete what follows ``--image=``. The
four frisbee tools have files for arguments, which shells complete by themselves.
"""

import sys
from pathlib import Path

from imaging.cli.umbrella import COMMANDS, POWER_VERBS

NAMES = ("imaging", *(f"imaging-{name}" for name in sorted((*COMMANDS, *POWER_VERBS))))
SHORT_NAMES = ("iload", "isave", "iwait", "ilist")  # of etc/profile.d/imaging.sh

_BASH = r"""# bash completion: for share/bash-completion/completions, or to be sourced by hand.

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
    @NAMES@
"""

_ZSH = r"""#compdef @NAMES@
# zsh completion: for a directory of $fpath, as share/zsh/site-functions.

_imaging() {
    local command=${words[1]} name type key description
    local -a response plain described
    case $command in
    iload | isave | iwait | ilist) command=imaging-${command#i} ;;
    esac
    command=${command/#\~\//$HOME/}
    name=${${command:t}//-/_}
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \
        "_${(U)name}_COMPLETE=zsh_complete" $command 2>/dev/null </dev/null)}")
    [[ $PREFIX == --*=* ]] && compset -P '*='
    for type key description in $response; do
        case $type in
        plain)
            if [[ $description == _ ]]; then
                plain+=("$key")
            else
                described+=("$key:$description")
            fi
            ;;
        file) _files ;;
        dir) _files -/ ;;
        esac
    done
    (( $#described )) && _describe -V imaging described
    (( $#plain )) && compadd -V names -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _imaging "$@"
else
    compdef _imaging @NAMES@
fi
"""

_FISH = r"""# fish completion: for share/fish/vendor_completions.d, or to be sourced by hand.

function __imaging_complete
    set -l command (commandline -opc)[1]
    set -l current (commandline -ct)
    set -l name (string upper -- (string replace --all -- - _ (string split -- / $command)[-1]))
    set -l option (string match --regex -- '^--[^=]+=' $current; or echo)
    set -l value (string replace -- "$option" '' $current)
    set -l response (env COMP_WORDS=(commandline -cp | string collect) COMP_CWORD=$current \
        _"$name"_COMPLETE=fish_complete $command 2>/dev/null </dev/null)
    for line in $response
        set -l parts (string split --max 1 -- , $line)
        switch $parts[1]
            case plain
                printf '%s\n' $option$parts[2]
            case file
                printf '%s\n' $option(__fish_complete_path $value)
            case dir
                printf '%s\n' $option(__fish_complete_directories $value)
        end
    end
end

for command in \
    @NAMES@
    complete --command $command --no-files --keep-order --arguments '(__imaging_complete)'
end
"""


def _with_names(text: str, names: tuple[str, ...], margin: str) -> str:
    """A script with the names of the commands in it, a few to a line where there is a margin."""
    if not margin:
        return text.replace("@NAMES@", " ".join(names))
    lines = (" ".join(names[at : at + 6]) for at in range(0, len(names), 6))
    return text.replace("@NAMES@", f" \\\n{margin}".join(lines))


def completion_scripts() -> dict[str, str]:
    """The scripts, by the names of their files."""
    return {
        "imaging.bash": _with_names(_BASH, NAMES + SHORT_NAMES, "    "),
        "_imaging": _with_names(_ZSH, NAMES + SHORT_NAMES, ""),
        "imaging.fish": _with_names(_FISH, NAMES, "    "),
    }


def write_completion_scripts(directory: Path) -> None:
    """Write all scripts. Raises OSError."""
    for name, text in completion_scripts().items():
        (directory / name).write_text(text)


if __name__ == "__main__":
    write_completion_scripts(Path(sys.argv[1]))
