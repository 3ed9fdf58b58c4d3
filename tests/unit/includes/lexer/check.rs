//! What holds for any bytes, for the fuzz target and for the test of random mutations.

use pcache_nvcc::includes::lexer::SourcePieces;
use pcache_nvcc::includes::lexer::piece::{PieceKind, SourcePiece};
use pcache_nvcc::includes::lexer::tokens::Tokens;
use pcache_nvcc::includes::tokens::{digest, normal_forms};

/// Panics where the lexer or the normal forms break one of their promises for `text`. Returns whether
/// the text has a digest.
pub fn check(text: &[u8]) -> bool {
    let pieces: Vec<_> = SourcePieces::new(text).collect();
    pieces_tile(text, &pieces);
    tokens_are_pieces(text, &pieces);
    let Ok(forms) = normal_forms(text) else {
        assert_eq!(digest(text), None);
        return false;
    };
    let own = digest(text).expect("a text with normal forms has digests");
    for form in [&forms.lines, &forms.columns] {
        let again = normal_forms(form).expect("a normal form has normal forms");
        assert_eq!(again.lines, forms.lines);
    }
    assert_eq!(normal_forms(&forms.columns).unwrap().columns, forms.columns);
    let blanked = blanked(text, &pieces);
    let found = digest(&blanked).map(|digests| digests.lines);
    assert_eq!(
        found,
        Some(own.lines),
        "{:?}",
        String::from_utf8_lossy(text)
    );
    true
}

fn pieces_tile(text: &[u8], pieces: &[SourcePiece]) {
    let (mut at, mut line) = (0, 1);
    for piece in pieces {
        assert!(piece.start == at && piece.end > at && piece.line == line);
        at = piece.end;
        let newlines = text[piece.start..at].iter().filter(|&&byte| byte == b'\n');
        line += newlines.count();
    }
    assert_eq!(at, text.len());
}

fn tokens_are_pieces(text: &[u8], pieces: &[SourcePiece]) {
    let expected = pieces.iter().filter(|piece| !piece.kind.is_gap());
    let expected = expected.map(|piece| (piece.kind, piece.start, piece.end, piece.line));
    let found = Tokens::new(text).map(|token| (token.kind, token.start, token.end, token.line));
    assert!(found.eq(expected));
}

/// The text with blanks in place of the plain comments of one line that stand in ordinary code.
fn blanked(text: &[u8], pieces: &[SourcePiece]) -> Vec<u8> {
    let mut blanked = text.to_vec();
    for line in pieces.split(|piece| piece.kind == PieceKind::Newline) {
        let mut tokens = line.iter().filter(|piece| piece.kind.is_token());
        if tokens.any(|piece| matches!(piece.of(text), b"#" | b"%:")) {
            continue;
        }
        for piece in line {
            let is_comment = matches!(piece.kind, PieceKind::BlockComment | PieceKind::LineComment);
            if is_comment && is_harmless(piece.of(text)) {
                blanked[piece.start..piece.end].fill(b' ');
            }
        }
    }
    blanked
}

/// A comment of one line about which no compiler would warn.
fn is_harmless(comment: &[u8]) -> bool {
    let lower = comment.to_ascii_lowercase();
    comment
        .iter()
        .all(|&byte| matches!(byte, b' '..=b'~') && byte != b'\\')
        && !comment[2..].windows(2).any(|pair| pair == b"/*")
        && !lower.windows(4).any(|word| word == b"fall")
}
