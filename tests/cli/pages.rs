//! What describes the command line (completions, manual pages, `docs/commands.md`) against the
//! definitions that parse it and the table of settings.

use crate::home::Home;
use pcache_nvcc::config::SETTINGS;
use pcache_nvcc::outcome::{BypassReason, FallbackReason, RemoteFailure};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether `shell -n` accepts a script. `None` where the shell is not installed.
fn accepts(shell: &str, script: &Path) -> Option<bool> {
    let output = Command::new(shell).arg("-n").arg(script).output().ok()?;
    assert!(
        output.stderr.is_empty(),
        "{shell}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.status.success())
}

#[test]
fn completions_are_scripts_that_their_shells_accept() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.text(&["completions", shell]);
        for command in commands() {
            let word = command.get_name().to_owned();
            assert!(script.contains(&word), "{shell}: {word}");
        }
        let path = home.path().join(shell);
        fs::write(&path, script).unwrap();
        let accepted = accepts(shell, &path);
        assert_ne!(accepted, Some(false), "{shell}");
        assert!(accepted.is_some() || shell != "bash", "bash is everywhere");
    }
    assert_eq!(home.run(&["completions", "tcsh"]).status.code(), Some(2));
}

/// What bash offers for a command line, by the script that was made for it.
fn bash_completes(words: &[&str]) -> BTreeSet<String> {
    let home = Home::new();
    let path = home.path().join("script");
    fs::write(&path, home.text(&["completions", "bash"])).unwrap();
    let list = words
        .iter()
        .map(|word| format!("'{word}'"))
        .collect::<Vec<_>>()
        .join(" ");
    let last = words.len() - 1;
    let program = format!(
        "source {}; COMP_WORDS=({list}); COMP_CWORD={last}; _pcache pcache '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        path.display(),
        words[last],
        words[last - 1],
    );
    let output = Command::new("bash")
        .args(["-c", &program])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let found = bash_completes(&["pcache", "c"]);
    let expected = ["clear", "completions", "config"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
    assert!(bash_completes(&["pcache", "list", "--l"]).contains("--limit"));
    let orders = ["age", "class", "size", "used", "uses"].map(str::to_owned);
    assert_eq!(
        bash_completes(&["pcache", "list", "--sort", ""]),
        BTreeSet::from(orders)
    );
    assert!(bash_completes(&["pcache", "config", "un"]).contains("unset"));
}

#[test]
fn keys_and_values_of_settings_are_completed() {
    let keys: BTreeSet<String> = SETTINGS.iter().map(|row| row.key.to_owned()).collect();
    for action in ["get", "set", "unset"] {
        let found = bash_completes(&["pcache", "config", action, ""]);
        assert!(found.is_superset(&keys), "{action}: {found:?}");
    }
    let of = |key| bash_completes(&["pcache", "config", "set", key, ""]);
    let policies = ["fifo", "lfu", "lru", "random", "tlru"].map(str::to_owned);
    assert_eq!(of("policy"), BTreeSet::from(policies));
    let switches = ["false", "no", "off", "on", "true", "yes"].map(str::to_owned);
    assert_eq!(of("readonly"), BTreeSet::from(switches));
    assert!(of("compress").contains("internal") && of("trust").contains("owner"));
    let home = Home::new();
    let zsh = home.text(&["completions", "zsh"]);
    assert!(zsh.contains("(lru fifo lfu random tlru)"), "{zsh}");
    let fish = home.text(&["completions", "fish"]);
    let values = "__fish_seen_subcommand_from policy\" -f -a \"lru fifo lfu random tlru\"";
    assert!(fish.contains(values), "{fish}");
    let key = "-f -a trust -d 'Whose results are believed";
    assert!(fish.contains(key), "{fish}");
}

#[test]
fn manual_has_a_page_for_each_command_and_every_setting() {
    let home = Home::new();
    let to = home.path().join("man");
    assert_eq!(home.text(&["man", to.to_str().unwrap()]), "");
    let names = fs::read_dir(&to)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<String> = names.map(|name| name.into_string().unwrap()).collect();
    let mut expected: BTreeSet<String> = commands()
        .iter()
        .map(|command| format!("{}.1", command.get_display_name().unwrap()))
        .collect();
    expected.extend(["pcache.1".into(), "pcache-nvcc.1".into()]);
    assert_eq!(names, expected);

    let text = home.text(&["man"]);
    assert_eq!(text, fs::read_to_string(to.join("pcache.1")).unwrap());
    // Roff has a backslash before each minus, and a name for the apostrophe.
    let plain = |name: &str| {
        let page = fs::read_to_string(to.join(name)).unwrap();
        page.replace("\\*(Aq", "'").replace('\\', "")
    };
    let wrapper = plain("pcache-nvcc.1");
    for row in SETTINGS {
        let unquoted = |text: &str| text.replace('`', "");
        for part in [
            row.variable,
            row.key,
            &unquoted(row.help),
            &unquoted(row.kind),
        ] {
            assert!(wrapper.contains(part), "{part}");
        }
        assert!(plain("pcache-config.1").contains(row.key));
    }
    for name in &names {
        check_page(&to.join(name));
    }
}

/// Lets groff and man complain of a page, as far as they are installed.
fn check_page(page: &Path) {
    let programs: [(&str, &[&str]); 2] = [
        ("groff", &["-man", "-ww", "-Tutf8", "-z"]),
        ("man", &["--warnings", "-l"]),
    ];
    for (program, arguments) in programs {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(page)
            .stdout(Stdio::null())
            .env("LC_ALL", "C.UTF-8");
        let Ok(output) = command.env("MANPAGER", "cat").output() else {
            continue;
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && said.is_empty(),
            "{program} {page:?}: {said}"
        );
    }
}

#[test]
fn help_of_the_settings_lists_every_setting() {
    let home = Home::new();
    for arguments in [&["config", "--help"][..], &["config", "set", "--help"]] {
        let help = home.text(arguments);
        for row in SETTINGS {
            assert!(help.contains(&format!("  {:<10}", row.key)), "{}", row.key);
            assert!(help.contains(&row.help.replace('`', "")), "{}", row.help);
        }
    }
}

/// Every command, each before its own commands, except for the program itself.
fn commands() -> Vec<clap::Command> {
    fn below(command: &clap::Command, found: &mut Vec<clap::Command>) {
        for command in command.get_subcommands() {
            found.push(command.clone());
            below(command, found);
        }
    }
    let mut top = pcache_nvcc::cli::command();
    top.build();
    let mut found = Vec::new();
    below(&top, &mut found);
    found
}

/// What the page has of one command: a heading, what it does, and a table of its arguments.
fn section(command: &clap::Command) -> String {
    let name = command.get_display_name().unwrap().replace('-', " ");
    let about = command.get_about().unwrap().to_string();
    let mut text = format!("### `{name}`\n\n{about}.\n");
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|one| one.get_id() != "help")
        .collect();
    if !arguments.is_empty() {
        text.push_str("\n| Argument | Meaning |\n|---|---|\n");
    }
    for argument in arguments {
        let shown = argument.to_string().replace('|', "\\|");
        let help = argument.get_help().unwrap().to_string();
        text.push_str(&format!("| `{shown}` | {help} |\n"));
    }
    text
}

/// Names of ours in the page that is for users of other caches, and in the one for those with questions.
#[test]
fn pages_name_only_settings_and_commands_that_there_are() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let known: BTreeSet<&str> = SETTINGS.iter().map(|row| row.variable).collect();
    let names: BTreeSet<String> = commands()
        .iter()
        .map(|command| command.get_display_name().unwrap().replace('-', " "))
        .collect();
    for page in ["migrating.md", "troubleshooting.md", "limits.md"] {
        let text = fs::read_to_string(docs.join(page)).unwrap();
        for part in text.split("PCACHE_").skip(1) {
            let end = part.find(|c: char| c != '_' && !c.is_ascii_uppercase());
            let variable = format!("PCACHE_{}", &part[..end.unwrap_or(part.len())]);
            assert!(known.contains(variable.as_str()), "{page}: {variable}");
        }
        for part in text.split("`pcache ").skip(1) {
            let request = part.split('`').next().unwrap().replace('\n', " ");
            let mut words = request.split(' ').filter(|word| *word != "…");
            let first = words.next().unwrap_or_default();
            // `-s` and its like are habits of ccache's users.
            let is_known = first.starts_with('-') || names.contains(&format!("pcache {first}"));
            assert!(first.is_empty() || is_known, "{page}: pcache {request}");
        }
    }
}

#[test]
fn troubleshooting_has_each_reason_with_a_cure() {
    let page = include_str!("../../docs/troubleshooting.md");
    let bypasses = BypassReason::ALL.iter().map(|reason| reason.code());
    let fallbacks = FallbackReason::ALL.iter().map(|reason| reason.code());
    let servers = RemoteFailure::ALL.iter().map(|failure| failure.code());
    for code in bypasses.chain(fallbacks).chain(servers) {
        let row = |line: &str| line.starts_with("| ") && line.contains(&format!("`{code}`"));
        assert!(page.lines().any(row), "{code}");
    }
}

#[test]
fn commands_page_says_what_the_definitions_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let page = fs::read_to_string(path).unwrap();
    let sections: Vec<_> = commands().iter().map(section).collect();
    let missing: Vec<_> = sections
        .iter()
        .filter(|text| !page.contains(*text))
        .cloned()
        .collect();
    assert!(
        missing.is_empty(),
        "docs/commands.md should have:\n\n{}",
        missing.join("\n")
    );
    assert_eq!(
        page.matches("\n### `pcache").count(),
        sections.len(),
        "a command too many"
    );
}
