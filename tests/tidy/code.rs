//! Just enough of Rust's grammar to look at code without its comments and literals.

/// The same text with comments and the contents of literals as blanks; lines stay where they are.
pub(super) fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = out.ends_with(is_word);
        let taken = literal(rest, after_word).unwrap_or(0);
        if taken == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..taken].chars().map(|char| if char == '\n' { '\n' } else { ' ' }));
            rest = &rest[taken..];
        }
    }
    out
}

/// Whether a character can be part of a name.
pub(super) fn is_word(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

/// Length of the comment or literal that `rest` begins with.
fn literal(rest: &str, after_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if !after_word && let Some(length) = raw_string(rest) {
        return Some(length);
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    let mut chars = rest.strip_prefix('\'')?.chars();
    let is_char = match (chars.next()?, chars.next()) {
        ('\\', _) | (_, Some('\'')) => true,
        // A lifetime.
        _ => false,
    };
    is_char.then(|| quoted(rest, '\''))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if char == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = rest.len() - body.len();
    Some(body.find(&end).map_or(rest.len(), |at| begin + at + end.len()))
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Places where `word` stands in blanked code and is not part of a longer name, with their lines.
pub(super) fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    code.match_indices(word).filter_map(move |(at, _)| {
        let after = &code[at + word.len()..];
        let continues = code[..at].ends_with(is_word) && word.starts_with(is_word);
        let continued = after.starts_with(is_word) && word.ends_with(is_word);
        (!continues && !continued).then(|| (line_of(code, at), after))
    })
}

/// The line that a position lies on.
pub(super) fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Length of the bracketed text that `rest` begins with, brackets included; to the end if they do not match.
pub(super) fn bracketed(rest: &str) -> usize {
    let mut depth = 0usize;
    for (at, char) in rest.char_indices() {
        match char {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    rest.len()
}

#[test]
fn comments_and_literals_are_blanked() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ */ d", "a                 d"),
        (r#"a("b \" c") d"#, "a(        ) d"),
        (r##"a(r#"b " c"#) d"##, "a(          ) d"),
        ("a('\"', '\\'') b", "a(   ,     ) b"),
        ("fn a<'b>(c: &'b str) {}", "fn a<'b>(c: &'b str) {}"),
        ("for'a'", "for   "),
    ];
    for (text, expected) in cases {
        assert_eq!(blanked(text), expected);
    }
}

#[test]
fn words_stand_alone() {
    let found: Vec<usize> = occurrences("dead fn\nfn_x\nmyfn fn", "fn").map(|(line, _)| line).collect();
    assert_eq!(found, [1, 3]);
    assert_eq!(bracketed("{ a (b) } c"), 9);
}
