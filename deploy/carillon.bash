# Completion for bash: . deploy/carillon.bash, or a copy in /usr/share/bash-completion/completions/carillon.
# Subcommands and options are asked of the binary itself, so they are always those it has.
_carillon() {
    local word=${COMP_WORDS[COMP_CWORD]} words command=("${COMP_WORDS[1]}")
    [[ ${command[0]} == webhook ]] && command+=("${COMP_WORDS[2]}")      # whose tools have options of their own
    if ((COMP_CWORD == 1)); then
        words=$("$1" --help 2>/dev/null | sed -n 's/^  carillon \([a-z-]*\).*/\1/p')
    elif [[ $word == -* ]]; then
        words=$("$1" "${command[@]}" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
    else
        COMPREPLY=($(compgen -f -- "$word"))
        return
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o filenames -F _carillon carillon
