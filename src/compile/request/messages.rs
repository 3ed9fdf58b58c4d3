//! What the host compiler's messages depend on besides the compile: their language, their character set and their
//! colours. Results without messages do not depend on it.

use crate::compile::request::environment::{KEYED, VariableReader};
use crate::compile::run::commands::Diagnostics;
use std::env;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

/// The variables that decide about a language.
const LANGUAGE: [&str; 5] = ["LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"];

/// Variables that matter only in a language other than that of the sources.
const TRANSLATION: [&str; 3] = ["LOCPATH", "NLSPATH", "OUTPUT_CHARSET"];

/// The locale in which programs print without any settings.
const C: &str = "C";

/// What messages depend on, as `NAME=value`. Settings with the same meaning give the same list.
pub(crate) fn facts(diagnostics: Diagnostics) -> Vec<Vec<u8>> {
    let of = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let [characters, language] = [
        locale(&of, "LC_CTYPE", libc::LC_CTYPE_MASK),
        locale(&of, "LC_MESSAGES", libc::LC_MESSAGES_MASK),
    ];
    let is_plain = [&characters, &language].into_iter().all(|name| name == C);
    let mut facts = vec![
        assignment("diagnostics", diagnostics.name()),
        assignment("LC_CTYPE", characters.as_bytes()),
        assignment("LC_MESSAGES", language.as_bytes()),
    ];
    // gettext looks at LANGUAGE only if there is a language.
    if let (true, Some(languages)) = (language != C, of("LANGUAGE")) {
        facts.push(assignment("LANGUAGE", languages.as_bytes()));
    }
    let others = KEYED.iter().filter(|(name, reader)| {
        *reader == VariableReader::Messages
            && !LANGUAGE.contains(name)
            && !(is_plain && TRANSLATION.contains(name))
    });
    let others = others.filter_map(|(name, _)| {
        // An empty GCC_COLORS turns colours off.
        Some(assignment(name, env::var_os(name)?.as_bytes()))
    });
    facts.extend(others);
    facts
}

fn assignment(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"=", value].concat()
}

/// The locale of a category: LC_ALL, else the category's own variable, else LANG. One that is not installed is C.
fn locale(of: &dyn Fn(&str) -> Option<OsString>, category: &str, mask: libc::c_int) -> OsString {
    let mut names = ["LC_ALL", category, "LANG"].into_iter();
    let name = names.find_map(of).unwrap_or_else(|| C.into());
    if name == "POSIX" || (name != C && !is_installed(&name, mask)) {
        return C.into();
    }
    name
}

fn is_installed(name: &OsString, mask: libc::c_int) -> bool {
    let Ok(name) = CString::new(name.as_bytes()) else {
        return false;
    };
    // SAFETY: `name` is a C string, and a null base stands for no locale.
    let locale = unsafe { libc::newlocale(mask, name.as_ptr(), std::ptr::null_mut()) };
    if locale.is_null() {
        return false;
    }
    // SAFETY: `newlocale` has just made it, and it is not used again.
    unsafe { libc::freelocale(locale) };
    true
}

#[cfg(test)]
mod tests {
    use super::{C, locale};
    use std::ffi::OsString;

    fn of_messages(set: &[(&str, &str)]) -> OsString {
        let of = |name: &str| {
            let found = set.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        };
        locale(&of, "LC_MESSAGES", libc::LC_MESSAGES_MASK)
    }

    #[test]
    fn variables_that_mean_the_same_are_one_locale() {
        for set in [
            &[][..],
            &[("LANG", "C")],
            &[("LANG", "POSIX")],
            &[("LC_ALL", "C"), ("LANG", "C.UTF-8")],
            &[("LANG", "no_such_language")],
        ] {
            assert_eq!(of_messages(set), C, "{set:?}");
        }
        for set in [
            &[("LANG", "C.UTF-8")][..],
            &[("LC_MESSAGES", "C.UTF-8"), ("LANG", "C")],
            &[("LC_ALL", "C.UTF-8"), ("LC_MESSAGES", "C")],
        ] {
            assert_eq!(of_messages(set), "C.UTF-8", "{set:?}");
        }
    }
}
