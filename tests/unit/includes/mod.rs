//! What sources include and hold: direct mode's verdicts, the lexer, digests of tokens, and moved lines.

mod direct;
mod lexer;
mod line_insensitive;
mod tokens;
