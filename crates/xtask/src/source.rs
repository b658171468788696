//! A Rust text taken apart: its code without comments and the contents of literals, its literals, and which lines are tests.
//! It knows tokens, not grammar: that is enough to look for words without being fooled by prose, and to count lines.

/// What stands for each character of a literal in [`Source::code`]: no token of Rust.
const FILLER: char = '~';

/// A Rust text taken apart.
#[derive(Debug, Clone)]
pub struct Source {
    code: String,
    literals: Vec<Literal>,
    tests: Vec<Span>,
}

/// The content of a string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The line it begins on, counted from 1.
    pub line: usize,
    /// What it says, with the common escapes resolved.
    pub text: String,
}

/// An item under `#[cfg(test)]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    first_line: usize,
    last_line: usize,
    /// The name, if the item is a module in a file of its own.
    module: Option<String>,
}

impl Source {
    /// Takes a text apart.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (code, literals) = Scanner::new(text).scan();
        let tests = test_spans(&code);
        Self { code, literals, tests }
    }

    /// The text, line by line as it was, with comments blanked and the contents of literals filled up.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The string literals, in order.
    #[must_use]
    pub fn literals(&self) -> &[Literal] {
        &self.literals
    }

    /// Whether this line, counted from 1, belongs to an item under `#[cfg(test)]`.
    #[must_use]
    pub fn test_line(&self, line: usize) -> bool {
        self.tests.iter().any(|span| (span.first_line..=span.last_line).contains(&line))
    }

    /// The modules declared under `#[cfg(test)]` whose text is in another file.
    #[must_use]
    pub fn test_modules(&self) -> Vec<&str> {
        self.tests.iter().filter_map(|span| span.module.as_deref()).collect()
    }
}

/// The lines, counted from 1, on which a word stands as a whole: `rand::` is found in `rand::random`, not in `brand::name`.
#[must_use]
pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
    code.lines().enumerate().filter(|(_, line)| holds(line, word)).map(|(index, _)| index + 1).collect()
}

fn holds(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !(joins(before, word.chars().next()) || joins(word.chars().next_back(), after))
    })
}

/// Whether two neighbours belong to one identifier.
fn joins(left: Option<char>, right: Option<char>) -> bool {
    left.is_some_and(name_char) && right.is_some_and(name_char)
}

fn name_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Walks over a text once and sorts its characters.
struct Scanner {
    chars: Vec<char>,
    at: usize,
    line: usize,
    code: String,
    literals: Vec<Literal>,
}

impl Scanner {
    fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0, line: 1, code: String::with_capacity(text.len()), literals: Vec::new() }
    }

    fn scan(mut self) -> (String, Vec<Literal>) {
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(),
                ('\'', _) => self.quote(),
                ('r', Some('"' | '#')) => self.raw(),
                _ => self.keep(),
            }
        }
        (self.code, self.literals)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Moves on by one character, which shows as itself.
    fn keep(&mut self) {
        if let Some(c) = self.peek(0) {
            self.pass(c);
        }
    }

    /// Moves on by one character, which shows as another unless it is white.
    fn hide(&mut self, behind: char) {
        if let Some(c) = self.peek(0) {
            self.pass(if c.is_whitespace() { c } else { behind });
        }
    }

    fn pass(&mut self, shown: char) {
        self.line += usize::from(shown == '\n');
        self.code.push(shown);
        self.at += 1;
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.hide(' ');
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(c) = self.peek(0) {
            let step = match (c, self.peek(1)) {
                ('/', Some('*')) => 1,
                ('*', Some('/')) => -1,
                _ => 0,
            };
            depth = depth.saturating_add_signed(step);
            self.hide(' ');
            if step != 0 {
                self.hide(' ');
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        let mut literal = Literal { line: self.line, text: String::new() };
        self.keep();
        while let Some(c) = self.peek(0).filter(|c| *c != '"') {
            if c == '\\' {
                self.hide(FILLER);
                literal.text.push(match self.peek(0) {
                    Some('n' | 't' | 'r' | '\n') | None => ' ',
                    Some(escaped) => escaped,
                });
            } else {
                literal.text.push(c);
            }
            self.hide(FILLER);
        }
        self.keep();
        self.literals.push(literal);
    }

    /// A raw string, or a raw identifier, which is kept as it is.
    fn raw(&mut self) {
        let hashes = self.chars[self.at + 1..].iter().take_while(|c| **c == '#').count();
        let open = hashes + 2;
        if self.peek(open - 1) != Some('"') {
            return self.keep();
        }
        let mut literal = Literal { line: self.line, text: String::new() };
        for _ in 0..open {
            self.keep();
        }
        while let Some(c) = self.peek(0) {
            if c == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                break;
            }
            literal.text.push(c);
            self.hide(FILLER);
        }
        for _ in 0..=hashes {
            self.keep();
        }
        self.literals.push(literal);
    }

    /// A character, or the quote of a lifetime, which is kept as it is.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        self.keep();
        if !(escaped || self.peek(1) == Some('\'')) {
            return;
        }
        if escaped {
            self.hide(FILLER);
        }
        self.hide(FILLER);
        while self.peek(0).is_some_and(|c| c != '\'') {
            self.hide(FILLER);
        }
        self.keep();
    }
}

/// Finds the items under `#[cfg(test)]` in code that holds no comments and no contents of literals.
fn test_spans(code: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(").map(|at| from + at) {
        let body = found + code[found..].find(']').map_or(code.len() - found, |at| at + 1);
        from = body;
        if tests_only(&code[found..body]) {
            from = item_end(code, body);
            spans.push(span(code, found, body, from));
        }
    }
    if code.contains("#![cfg(test)]") {
        spans.push(Span { first_line: 1, last_line: code.lines().count(), module: None });
    }
    spans
}

fn tests_only(attribute: &str) -> bool {
    holds(attribute, "test") && !holds(attribute, "not") && !holds(attribute, "any")
}

fn span(code: &str, start: usize, body: usize, end: usize) -> Span {
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    let declaration = code[body..end].trim().strip_suffix(';').and_then(|item| item.rsplit_once("mod "));
    let module = declaration.map(|(_, name)| name.trim().to_owned());
    Span { first_line: line(start), last_line: line(end), module }
}

/// Where the item that begins here ends: after its `;`, after its block, or before the bracket that closes what it is in.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[start..].char_indices().map(|(at, c)| (start + at, c)) {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' if depth == 0 => return at,
            '}' if depth == 1 => return block_end(code, at + 1),
            '}' | ')' | ']' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// After a block there may be the `;` of the `use` or `let` that it is part of.
fn block_end(code: &str, at: usize) -> usize {
    let rest = &code[at..];
    let blank = rest.len() - rest.trim_start().len();
    if rest[blank..].starts_with(';') { at + blank + 1 } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str) {
        assert_eq!(Source::parse(text).code(), code);
    }

    #[test]
    fn comments_vanish_and_lines_stay() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */\nd */ e", "a             \n     e");
        check("//! doc\n/// doc\nfn f() {}", "       \n       \nfn f() {}");
        check("/**/a", "    a");
    }

    #[test]
    fn literals_are_filled() {
        check(r#"let a = "b // c";"#, r#"let a = "~ ~~ ~";"#);
        check(r#"f("\"", '"', '\'', '\\', b"x")"#, r#"f("~~", '~', '~~', '~~', b"~")"#);
        check("f(r#\"a\"b\"#, br\"\\\")", "f(r#\"~~~\"#, br\"~\")");
        check("r#type.call('\u{e9}', '\\u{e9}')", "r#type.call('~', '~~~~~~')");
    }

    #[test]
    fn lifetimes_are_no_characters() {
        check("fn f<'a>(a: &'a str, b: &'static str) -> &'a u8 {}", "fn f<'a>(a: &'a str, b: &'static str) -> &'a u8 {}");
        check("'outer: loop { break 'outer; } // '", "'outer: loop { break 'outer; }     ");
    }

    #[test]
    fn literals_are_read() {
        let source = Source::parse("f(\"a\\nb\\\n  c\");\n\ng(r\"d\\n\", 'e', \"\\\"\")");
        let expected = [(1, "a b   c"), (4, "d\\n"), (4, "\"")].map(|(line, text)| Literal { line, text: text.into() });
        assert_eq!(source.literals(), expected);
    }

    #[test]
    fn words_are_found_whole() {
        assert_eq!(lines_with("rand::x\nbrand::x\nuse rand::y", "rand::"), [1, 3]);
        assert_eq!(lines_with("x.await?\nx.awaited", ".await"), [1]);
        assert_eq!(lines_with("todo!()\nmytodo!()", "todo!"), [1]);
    }

    fn test_lines(text: &str) -> Vec<usize> {
        let source = Source::parse(text);
        (1..=text.lines().count()).filter(|line| source.test_line(*line)).collect()
    }

    #[test]
    fn items_for_tests_are_found() {
        assert_eq!(test_lines("fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { \"}\" }\n}\nfn c() {}"), [2, 3, 4, 5]);
        assert_eq!(test_lines("#[cfg(test)]\nuse a::{\n  b,\n};\nfn c() {}"), [1, 2, 3, 4]);
        assert_eq!(test_lines("#[cfg(test)]\nconst A: [u8; 2] = [1, 2];\nfn c() {}"), [1, 2]);
        assert_eq!(test_lines("#[cfg(all(test, unix))]\nfn a(x: [u8; 1]) {\n}\nfn c() {}"), [1, 2, 3]);
        assert_eq!(test_lines("#![cfg(test)]\nfn a() {}"), [1, 2]);
    }

    #[test]
    fn other_items_are_no_tests() {
        assert!(test_lines("#[cfg(not(test))]\nfn a() {}\n#[cfg(feature = \"test\")]\nfn b() {}").is_empty());
        assert!(test_lines("// #[cfg(test)]\nfn a() {}\nconst B: &str = \"#[cfg(test)]\";").is_empty());
    }

    #[test]
    fn modules_in_other_files_are_named() {
        assert_eq!(Source::parse("#[cfg(test)]\npub(crate) mod samples;\n#[cfg(test)]\nmod t { }").test_modules(), ["samples"]);
    }
}
