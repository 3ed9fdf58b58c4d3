//! The environment variables that `nvcc.profile` reads: `NAME += …` adds to a variable that the caller may have set,
//! and `$(NAME)` expands one.

use std::collections::BTreeSet;

/// Every variable that the profile names, sorted. A name that is not UTF-8 is not a variable.
pub(super) fn variables(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let assigned = line.trim_start().split(|c: char| !is_name(c)).next();
        names.extend(assigned);
        let expanded = line.split("$(").skip(1);
        names.extend(expanded.filter_map(|rest| rest.split(')').next()));
    }
    names.remove("");
    names.into_iter().map(str::to_owned).collect()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn assigned_and_taken_names_are_found() {
        let text = b"\nTOP              = $(_HERE_)/..\nPATH += $(CICC_PATH):$(_HERE_):\n\
            INCLUDES        +=  \"-I$(TOP)/include\" $(_SPACE_)\ncompiler-bindir=/x\n";
        assert_eq!(
            variables(text),
            [
                "CICC_PATH",
                "INCLUDES",
                "PATH",
                "TOP",
                "_HERE_",
                "_SPACE_",
                "compiler-bindir"
            ]
        );
    }
}
