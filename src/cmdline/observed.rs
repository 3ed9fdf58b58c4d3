//! What an option lets a compile observe of its sources besides their tokens: a column of the table of options.

/// What a compile observes besides tokens. Each of these holds those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// Nothing: equal tokens give equal outputs.
    #[default]
    Nothing,
    /// The lines and columns of tokens, or something of which it is not known that it is less.
    Lines,
    /// The sizes of the files that device code names.
    Sizes,
    /// The sources as they are written.
    Text,
}

/// The column: what an option lets a compile observe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observes {
    /// Nothing.
    Nothing,
    /// Lines.
    Lines,
    /// Sizes of files.
    Sizes,
    /// The text of sources.
    Text,
    /// What it observes is not known, or is not asked for, since no cache answers it.
    Everything,
    /// What the dialect does that is its value.
    Dialect,
    /// What the architectures do that are its value.
    Architecture,
    /// What the host compiler's options do that are its value.
    HostWords,
    /// What ptxas's options do that are its value.
    PtxasWords,
}
