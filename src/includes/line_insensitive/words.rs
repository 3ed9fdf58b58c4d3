//! Words that determine the kind of a declaration.

/// Operators that are spelled as words.
const OPERATORS: &[&[u8]] = &[
    b"and", b"and_eq", b"bitand", b"bitor", b"not_eq", b"or", b"or_eq", b"xor", b"xor_eq",
];

/// Words that may stand before parentheses but are not the name of a function.
const NO_NAMES: &[&[u8]] = &[
    b"if",
    b"for",
    b"while",
    b"switch",
    b"return",
    b"constexpr",
    b"consteval",
    b"constinit",
    b"catch",
    b"sizeof",
    b"alignof",
    b"_Alignof",
    b"__alignof__",
    b"__alignof",
    b"decltype",
    b"__decltype",
    b"typeof",
    b"__typeof__",
    b"__typeof",
    b"typeid",
    b"alignas",
    b"_Alignas",
    b"noexcept",
    b"static_assert",
    b"_Static_assert",
    b"explicit",
    b"requires",
    b"throw",
    b"co_return",
    b"co_yield",
    b"co_await",
    b"case",
    b"asm",
    b"__asm__",
    b"__asm",
    b"volatile",
    b"const",
    b"__attribute__",
    b"__attribute",
    b"__declspec",
    b"__extension__",
    b"else",
    b"do",
    b"auto",
    b"void",
    b"bool",
    b"char",
    b"char8_t",
    b"char16_t",
    b"char32_t",
    b"wchar_t",
    b"short",
    b"int",
    b"long",
    b"float",
    b"double",
    b"signed",
    b"unsigned",
    b"__signed__",
    b"__int128",
    b"__float128",
    b"static",
    b"mutable",
    b"inline",
    b"virtual",
    b"new",
    b"delete",
    b"and",
    b"or",
    b"not",
    b"operator",
    b"this",
];

/// Words of declarations that are not on the list of harmless ones.
const ODD: &[&[u8]] = &[
    b"using",
    b"typedef",
    b"namespace",
    b"concept",
    b"enum",
    b"static_assert",
    b"_Static_assert",
    b"asm",
    b"__asm__",
    b"__asm",
    b"export",
    b"import",
    b"module",
    b"goto",
    b"case",
    b"default",
];

/// Words whose parentheses hold an operand of which only the type is used.
const TYPE_OF: &[&[u8]] = &[
    b"decltype",
    b"__decltype",
    b"typeof",
    b"__typeof__",
    b"__typeof",
    b"typeid",
];

/// Whether `word` is an attribute specifier, whose parentheses are no parameter list.
pub(super) fn is_attribute(word: &[u8]) -> bool {
    matches!(
        word,
        b"__attribute__" | b"__attribute" | b"alignas" | b"_Alignas" | b"__declspec"
    )
}

/// Whether `word` begins the name of a class.
pub(super) fn is_class_key(word: &[u8]) -> bool {
    matches!(word, b"class" | b"struct" | b"union")
}

/// Whether `word` is an operator.
pub(super) fn is_operator(word: &[u8]) -> bool {
    OPERATORS.contains(&word)
}

/// Whether a function may be called `word`.
pub(super) fn is_name(word: &[u8]) -> bool {
    !NO_NAMES.contains(&word) && !ODD.contains(&word) && !is_class_key(word)
}

/// Whether the parentheses after `word` hold an operand of which only the type is used.
pub(super) fn is_type_of(word: &[u8]) -> bool {
    TYPE_OF.contains(&word)
}

/// Whether `word` belongs to declarations that are not on the list of harmless ones.
pub(super) fn is_odd(word: &[u8]) -> bool {
    ODD.contains(&word)
}
