//! Completions for shells: the verbs and flags of clap, preceded by names of the stack.

use clap::Command;
use clap_complete::Shell;

const BASH: &str = r#"
_TOOL_names() {
    local word=${COMP_WORDS[COMP_CWORD]}
    mapfile -t COMPREPLY < <("$1" names -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if ((${#COMPREPLY[@]} == 0)); then
        _TOOL "$@"
    elif [[ ${COMPREPLY[0]} == *: ]]; then
        compopt -o nospace
    fi
}
complete -F _TOOL_names -o nosort -o bashdefault -o default TOOL
"#;

const ZSH: &str = r#"
_TOOL() {
    local -a names
    names=(${(f)"$($words[1] names -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#names )); then
        [[ $names[1] == *: ]] && compadd -S '' -a names || compadd -a names
    else
        _TOOL_flags "$@"
    fi
}

if [ "$funcstack[1]" = "_TOOL" ]; then
    _TOOL "$@"
else
    compdef _TOOL TOOL
fi
"#;

const FISH: &str = r#"
function __TOOL_names
    set -l words (commandline -opc)
    $words[1] names -- $words[2..] (commandline -ct) 2>/dev/null
end
complete -c TOOL -n 'test (count (__TOOL_names)) -gt 0' -k -f -a '(__TOOL_names)'
for flag in only offline local to on instance
    complete -c TOOL -l $flag -x -k -a '(__TOOL_names)'
end
"#;

/// The script for a shell.
pub(crate) fn script(shell: Shell, mut command: Command) -> String {
    let tool = command.get_name().to_owned();
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command, &tool, &mut bytes);
    let script = String::from_utf8_lossy(&bytes).into_owned();
    match shell {
        Shell::Bash => script + &BASH.replace("TOOL", &tool),
        Shell::Fish => script + &FISH.replace("TOOL", &tool),
        Shell::Zsh => {
            // Renames clap's function, and replaces the call at the end by ours.
            let script = script.replacen(&format!("\n_{tool}() {{"), &format!("\n_{tool}_flags() {{"), 1);
            let end = script.find("\nif [ \"$funcstack[1]\"").unwrap_or(script.len());
            script[..end].to_owned() + &ZSH.replace("TOOL", &tool)
        }
        _ => script,
    }
}
