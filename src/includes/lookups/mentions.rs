//! The mentions of all sources of a compile, scanned together: a macro that one source defines may ask for headers in
//! another, and a third may contribute the pieces of its name. Reads no files.

use super::reads::{NotStored, Preprocessor, Reads};
use crate::includes::scan::clang::{hides_directives, with_lines_of_clang};
use crate::includes::scan::{
    HAS_EMBED, HAS_INCLUDE, Mentions, defines_any, mentions_any, pieces, reachable, scan,
};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

/// Macros that GCC and clang themselves define and that may be words of a header's name.
const PREDEFINED: [&[u8]; 3] = [b"i386", b"linux", b"unix"];

/// What the sources of a compile mention.
pub(super) struct AllMentions<'r> {
    /// The mentions of every source, and of the snippets under the empty path.
    pub of: Vec<(&'r Path, Mentions)>,
    /// Why the preprocessors may ask for headers that the sources do not name.
    pub unseen: Option<NotStored>,
}

/// Scans again as long as new macros are found that expand to `__has_include`.
pub(super) fn all(reads: &Reads) -> Result<AllMentions<'_>, NotStored> {
    let mut askers: BTreeSet<_> = HAS_INCLUDE.iter().map(|word| word.to_vec()).collect();
    let snippets = reads.snippets.iter();
    let snippets = snippets.map(|text| (Path::new(""), text.as_slice()));
    let sources = reads.sources.iter();
    let sources = sources.map(|(path, text)| (path.as_path(), text.as_slice()));
    let mut plain = Vec::new();
    for (path, text) in sources.chain(snippets) {
        plain.push(match reads.preprocessor {
            Preprocessor::Gcc => (path, Cow::Borrowed(text)),
            Preprocessor::Clang if hides_directives(text) => {
                let path = path.display();
                return Err(format!("{path}: a directive has a blank of its own kind"));
            }
            Preprocessor::Clang => (path, with_lines_of_clang(text)),
        });
    }
    let texts: Vec<_> = plain.iter().map(|(path, text)| (*path, &**text)).collect();
    let mut all: Vec<(&Path, Mentions)> = Vec::with_capacity(texts.len());
    // The words that previous scans did not look for.
    let mut new_askers = askers.clone();
    while !new_askers.is_empty() {
        let mut aliases = BTreeSet::new();
        for (index, (path, text)) in texts.iter().enumerate() {
            let is_scanned = index < all.len();
            if is_scanned && !mentions_any(text, &new_askers) {
                continue;
            }
            let mentions = scan(text, &askers);
            if let Some(doubt) = mentions.doubt {
                return Err(format!("{}: {doubt}", path.display()));
            }
            aliases.extend(mentions.aliases.difference(&askers).cloned());
            if is_scanned {
                all[index].1 = mentions;
            } else {
                all.push((*path, mentions));
            }
        }
        askers.extend(aliases.iter().cloned());
        new_askers = aliases;
    }
    let of_one = all.iter().find_map(|(path, mentions)| {
        let unseen = mentions.unseen?;
        Some(format!("{}: {unseen}", path.display()))
    });
    let unseen = of_one
        .or(pasted(&texts, &all, &askers)?)
        .or_else(|| expanded(&texts, &all));
    Ok(AllMentions { of: all, unseen })
}

/// A sentence if macros may paste one of `askers` together from pieces or, if a text tests one of them with `defined`,
/// may turn that `defined` into something else. A doubt if they may ask for a file to embed.
fn pasted(
    texts: &[(&Path, &[u8])],
    all: &[(&Path, Mentions)],
    askers: &BTreeSet<Vec<u8>>,
) -> Result<Option<NotStored>, NotStored> {
    let asks = all.iter().any(|(_, mentions)| mentions.asks_for_the_word);
    let texts = || texts.iter().map(|(_, text)| *text);
    let hiding: BTreeSet<_> = if asks {
        texts().flat_map(pieces::ends_of_defined).collect()
    } else {
        BTreeSet::new()
    };
    let words = askers.iter().chain(&hiding).map(Vec::as_slice);
    let mut pieces = pieces::PastePieces::of(words.chain([HAS_EMBED]));
    texts().for_each(|text| pieces.read(text));
    let hides = asks && pieces.hides_defined();
    let made: Vec<_> = pieces.made().collect();
    let made = match &*made {
        [] => made,
        _ => reachable::pasted(texts(), made),
    };
    let say = |word| {
        let word = String::from_utf8_lossy(word);
        format!("macros may make the word {word} of others")
    };
    if made.contains(&HAS_EMBED) {
        return Err(say(HAS_EMBED));
    }
    let hidden = hides.then_some(pieces::DEFINED);
    Ok(made.into_iter().next().or(hidden).map(say))
}

/// A sentence if a word of a header's name that is subject to macro expansion may be a macro.
fn expanded(texts: &[(&Path, &[u8])], all: &[(&Path, Mentions)]) -> Option<NotStored> {
    let words = all.iter().flat_map(|(_, mentions)| &mentions.expanded);
    let words: BTreeSet<_> = words.cloned().collect();
    let has_predefined = PREDEFINED.iter().any(|word| words.contains(*word));
    let definer = texts.iter().find(|(_, text)| defines_any(text, &words));
    match definer {
        _ if words.is_empty() => None,
        Some((path, _)) => Some(format!(
            "{} defines a word of a header's name",
            path.display()
        )),
        None if has_predefined => Some("a header's name has a word that GCC defines".to_owned()),
        None => None,
    }
}
