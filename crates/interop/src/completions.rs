//! Completions as bash, zsh and fish offer them to a person who presses Tab.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use programs::{Invocation, Workspace};

use crate::checklist::Checklist;

/// Lines whose last word is completed, and what the shell makes of that word.
const LINES: [(&str, &str); 4] = [
    ("i2p-socks st", "status"),
    ("i2p-socks status --w", "--wait"),
    ("i2p-socks names sub", "subscribe"),
    ("i2p-socks names conflicts --se", "--settle"),
];

/// Ends a shell that waits for something.
const TIMEOUT: &str = "timeout 30";

/// A shell, with a script that completes the line `$2` by the file `$1`, and prints the outcome.
struct Shell {
    name: &'static str,
    /// The name of the file with the completions.
    file: &'static str,
    arguments: &'static [&'static str],
    script: &'static str,
}

const SHELLS: [Shell; 3] = [
    Shell {
        name: "bash",
        file: "i2p-socks.bash",
        arguments: &["--norc", "-c"],
        script: r#"source "$1"
COMP_WORDS=($2)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ $(complete -p i2p-socks) =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" i2p-socks "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\n' "${COMPREPLY[@]}""#,
    },
    // Completion needs the line editor, and that needs a terminal. Ctrl-T shows the line that Tab has completed.
    Shell {
        name: "zsh",
        file: "_i2p-socks",
        arguments: &["-f", "-c"],
        script: r#"zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=(${1:h} \$fpath); autoload -Uz compinit; compinit -u -D; bindkey '^I' complete-word
show() { print -r -- \"<\$BUFFER>\"; BUFFER=; zle accept-line }; zle -N show; bindkey '^T' show; print be''gun"
while zpty -r shell line; do [[ $line == *begun* ]] && break; done
zpty -w -n shell "$2"$'\t\x14'
while zpty -r shell line; do print -r -- "$line"; [[ $line == *'>'* ]] && break; done
zpty -d shell"#,
    },
    Shell {
        name: "fish",
        file: "i2p-socks.fish",
        arguments: &["--no-config", "-c"],
        script: "source $argv[2]; complete -C $argv[3]",
    },
];

/// Checks the completions that the program generates.
pub(crate) async fn check(checklist: &mut Checklist, workspace: &Workspace, directory: &Path) {
    for shell in &SHELLS {
        let name = format!("{}: completes commands, their subcommands and options", shell.name);
        checklist.check(&name, async { shell.completes_lines(workspace, directory) }).await;
    }
}

impl Shell {
    fn completes_lines(&self, workspace: &Workspace, directory: &Path) -> Result<()> {
        let generated =
            Invocation::new(workspace.proxy(), directory).arg("generate").arg("completions").arg(self.name);
        let file = directory.join(self.file);
        fs::write(&file, generated.output()?).context("cannot write the completions")?;
        let program = programs::find(self.name).with_context(|| format!("{} is missing", self.name))?;
        for (line, expected) in LINES {
            // A shell that shows nothing would be waited for.
            let limited = Invocation::typed(TIMEOUT, directory).arg(&program);
            let asked = self.arguments.iter().fold(limited, Invocation::arg);
            let asked = asked.arg(self.script).arg(self.name).arg(&file).arg(line).env("TERM", "xterm");
            let output = asked.output()?;
            ensure!(output.contains(expected), "for {line:?}, it offers {output:?}");
        }
        Ok(())
    }
}
