//! What an option lets a compile observe of its sources besides their tokens. This is a column of the option table.

/// What a compile observes besides tokens. Each variant includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// Nothing: equal tokens give equal outputs.
    #[default]
    Nothing,
    /// The lines and columns of tokens. Also used if what is observed is unknown.
    Lines,
    /// The sizes of the files that device code names.
    Sizes,
    /// The text of the sources, with comments and blanks.
    Text,
}

/// The entry of the column for one option.
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
    /// Unknown, or irrelevant since the cache answers no command line with the option.
    Everything,
    /// Depends on the dialect that is the option's value.
    Dialect,
    /// Depends on the architectures that are the option's value.
    Architecture,
    /// Depends on the host compiler's options that are the option's value.
    HostWords,
    /// Depends on ptxas's options that are the option's value.
    PtxasWords,
}
