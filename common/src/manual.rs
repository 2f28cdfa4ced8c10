//! The manual page of a tool, made from its flags: what help says and what man says cannot differ.

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;

/// The page: NAME, SYNOPSIS, DESCRIPTION, OPTIONS of the command; then every verb with its own flags; then the texts that
/// the tool gives as `after_long_help` (EXIT STATUS, EXAMPLES ...).
///
/// # Errors
/// None in practice: it writes to memory.
pub(crate) fn page(command: Command) -> anyhow::Result<Vec<u8>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut bytes = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut bytes)?;
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    for verb in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        section(verb, &mut bytes).with_context(|| format!("the verb {}", verb.get_name()))?;
    }
    man.render_options_section(&mut bytes)?;
    man.render_extra_section(&mut bytes)?;
    Ok(bytes)
}

/// One verb: its name as heading, what it does, and the flags that are its own.
fn section(verb: &Command, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    let own = verb.clone().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
    let own = own.disable_help_flag(true).disable_version_flag(true);
    let man = Man::new(own);
    let mut part = Vec::new();
    man.render_synopsis_section(&mut part)?;
    man.render_description_section(&mut part)?;
    man.render_options_section(&mut part)?;
    let text = String::from_utf8_lossy(&part);
    let name = verb.get_name().to_uppercase();
    let text = text.replacen(".SH SYNOPSIS", &format!(".SH \"{name}\""), 1);
    bytes.extend(text.replace(".SH DESCRIPTION", ".PP").replace(".SH OPTIONS", ".PP").into_bytes());
    Ok(())
}
