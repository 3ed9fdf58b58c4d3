//! What all sources of a compile mention, taken together: a macro of one of them asks in the name of
//! another, and is made of the pieces that a third one has. Looks at no disk.

use super::reads::{Doubt, Reads};
use crate::includes::scan::{
    HAS_EMBED, HAS_INCLUDE, Mentions, defines_any, mentions_any, pieces, scan,
};
use std::collections::BTreeSet;
use std::path::Path;

/// Words that GCC itself defines and that may be parts of a header's name.
const PREDEFINED: [&[u8]; 3] = [b"i386", b"linux", b"unix"];

/// What every source mentions; snippets under the empty path. Scans again while macros turn up that
/// stand for `__has_include`.
pub(super) fn all(reads: &Reads) -> Result<Vec<(&Path, Mentions)>, Doubt> {
    let mut askers: BTreeSet<_> = HAS_INCLUDE.iter().map(|word| word.to_vec()).collect();
    let snippets = reads
        .snippets
        .iter()
        .map(|text| (Path::new(""), text.as_slice()));
    let sources = reads
        .sources
        .iter()
        .map(|(path, text)| (path.as_path(), text.as_slice()));
    let texts: Vec<_> = sources.chain(snippets).collect();
    let mut all: Vec<(&Path, Mentions)> = Vec::with_capacity(texts.len());
    // Words that the scans so far did not know.
    let mut fresh = askers.clone();
    while !fresh.is_empty() {
        let mut found = BTreeSet::new();
        for (index, (path, text)) in texts.iter().enumerate() {
            let is_known = index < all.len();
            if is_known && !mentions_any(text, &fresh) {
                continue;
            }
            let mentions = scan(text, &askers);
            if let Some(doubt) = mentions.doubt {
                return Err(format!("{}: {doubt}", path.display()));
            }
            found.extend(mentions.aliases.difference(&askers).cloned());
            if is_known {
                all[index].1 = mentions;
            } else {
                all.push((*path, mentions));
            }
        }
        askers.extend(found.iter().cloned());
        fresh = found;
    }
    check_pieces(&texts, &all, &askers)?;
    check_expanded(&texts, &all)?;
    Ok(all)
}

/// No macro may make one of `askers` of pieces, or ask where the word seems to be asked for.
fn check_pieces(
    texts: &[(&Path, &[u8])],
    all: &[(&Path, Mentions)],
    askers: &BTreeSet<Vec<u8>>,
) -> Result<(), Doubt> {
    let asks = all.iter().any(|(_, found)| found.asks_for_the_word);
    let texts = || texts.iter().map(|(_, text)| *text);
    let hiding: BTreeSet<_> = if asks {
        texts().flat_map(pieces::ends_of_defined).collect()
    } else {
        BTreeSet::new()
    };
    let words = askers.iter().chain(&hiding).map(Vec::as_slice);
    let mut pieces = pieces::FoundPiece::of(words.chain([HAS_EMBED]));
    texts().for_each(|text| pieces.read(text));
    let hides = asks && pieces.hides_defined();
    match pieces.made().next().or(hides.then_some(pieces::DEFINED)) {
        Some(word) => {
            let word = String::from_utf8_lossy(word);
            Err(format!("macros may make the word {word} of others"))
        }
        None => Ok(()),
    }
}

/// Names in macros that ask for headers are expanded: no word of theirs may be a macro.
fn check_expanded(texts: &[(&Path, &[u8])], all: &[(&Path, Mentions)]) -> Result<(), Doubt> {
    let words = all.iter().flat_map(|(_, found)| &found.expanded);
    let words: BTreeSet<_> = words.cloned().collect();
    let predefined = PREDEFINED.iter().any(|word| words.contains(*word));
    let definer = texts.iter().find(|(_, text)| defines_any(text, &words));
    match definer {
        _ if words.is_empty() => Ok(()),
        Some((path, _)) => Err(format!(
            "{} defines a word of a header's name",
            path.display()
        )),
        None if predefined => Err("a header's name has a word that GCC defines".to_owned()),
        None => Ok(()),
    }
}
