# fish completion: for share/fish/vendor_completions.d, or to be sourced by hand.

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
    imaging imaging-config imaging-history imaging-image imaging-info imaging-inventory \
    imaging-leases imaging-list imaging-load imaging-monitor imaging-nextboot imaging-nodes \
    imaging-off imaging-on imaging-ramdisk imaging-reset imaging-save imaging-status \
    imaging-testbed imaging-wait
    complete --command $command --no-files --keep-order --arguments '(__imaging_complete)'
end
