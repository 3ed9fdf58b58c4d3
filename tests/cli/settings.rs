//! `docs/settings.md` says what the table says.

use pcache_nvcc::config::SETTINGS;

#[test]
fn settings_page_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut table = String::from("| Variable | Key | Value | Default | Meaning |\n");
    table.push_str("|---|---|---|---|---|\n");
    for row in SETTINGS {
        let (variable, key, kind) = (row.variable, row.key, row.kind);
        let (default, help) = (row.default, row.help);
        table.push_str(&format!(
            "| `{variable}` | `{key}` | {kind} | {default} | {help} |\n"
        ));
    }
    assert!(
        page.contains(&table),
        "docs/settings.md should have this table:\n{table}"
    );
}
