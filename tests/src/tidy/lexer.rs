//! Takes Rust source apart into tokens and comments.
//!
//! Only as much of the language as the rules need: words, marks, literals and comments are told
//! apart reliably (raw strings, nested comments, lifetimes, character literals); nothing is said
//! about grammar.

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// Identifier, keyword, number or lifetime.
    Word,
    /// Punctuation: one character, or one of `::`, `->`, `=>`.
    Mark,
    /// The content of a string or character literal.
    Text,
}

/// One token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its characters; of a literal, those between the quotes as they are written.
    pub text: String,
    /// The line it begins on, from 1.
    pub line: usize,
}

impl Token {
    /// Whether this is the word `text`.
    pub fn is_word(&self, text: &str) -> bool {
        self.kind == TokenKind::Word && self.text == text
    }

    /// Whether this is the mark `text`.
    pub fn is_mark(&self, text: &str) -> bool {
        self.kind == TokenKind::Mark && self.text == text
    }
}

/// One line of a comment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    /// Its characters, with the slashes that begin it.
    pub text: String,
    /// Its line, from 1.
    pub line: usize,
}

/// A source file, taken apart.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Lexed {
    /// Code, in order.
    pub tokens: Vec<Token>,
    /// Comments, line by line.
    pub comments: Vec<Comment>,
}

/// Takes `source` apart. Source that does not compile gives some tokens, never a panic.
pub fn lex(source: &str) -> Lexed {
    let mut lexer =
        Lexer { chars: source.chars().collect(), at: 0, line: 1, out: Lexed::default() };
    while lexer.peek(0).is_some() {
        lexer.step();
    }
    lexer.out
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Lexed,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn bump(&mut self) -> Option<char> {
        let char = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(char == '\n');
        Some(char)
    }

    fn bump_by(&mut self, count: usize) {
        for _ in 0..count {
            self.bump();
        }
    }

    fn push(&mut self, kind: TokenKind, text: String, line: usize) {
        self.out.tokens.push(Token { kind, text, line });
    }

    fn step(&mut self) {
        let Some(first) = self.peek(0) else { return };
        match (first, self.peek(1)) {
            ('/', Some('/')) => self.line_comment(),
            ('/', Some('*')) => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.quote(),
            _ if is_word(first) => self.word(),
            _ if first.is_whitespace() => self.bump_by(1),
            _ => self.mark(first),
        }
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let text = self.take_while(|char| char != '\n');
        self.out.comments.push(Comment { text, line });
    }

    fn block_comment(&mut self) {
        let (first, start) = (self.line, self.at);
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => break,
                _ => {
                    self.bump_by(1);
                    continue;
                }
            }
            self.bump_by(2);
            if depth == 0 {
                break;
            }
        }
        let text: String = self.chars[start..self.at].iter().collect();
        let lines = text.lines().zip(first..);
        self.out.comments.extend(lines.map(|(text, line)| Comment { text: text.into(), line }));
    }

    /// From the opening quote to the closing one; a backslash takes the next character with it.
    fn string(&mut self) {
        let line = self.line;
        self.bump_by(1);
        let mut text = String::new();
        while let Some(char) = self.bump() {
            match char {
                '"' => break,
                '\\' => {
                    text.push(char);
                    text.extend(self.bump());
                }
                _ => text.push(char),
            }
        }
        self.push(TokenKind::Text, text, line);
    }

    /// From the first `#` or quote to the closing quote with as many `#`.
    fn raw_string(&mut self, hashes: usize) {
        let line = self.line;
        self.bump_by(hashes + 1);
        let mut text = String::new();
        while let Some(char) = self.bump() {
            if char == '"' && (0..hashes).all(|i| self.peek(i) == Some('#')) {
                self.bump_by(hashes);
                break;
            }
            text.push(char);
        }
        self.push(TokenKind::Text, text, line);
    }

    /// A character literal or a lifetime.
    fn quote(&mut self) {
        let line = self.line;
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            self.bump_by(1);
            let name = self.take_while(is_word);
            return self.push(TokenKind::Word, format!("'{name}"), line);
        }
        self.bump_by(1);
        let mut text = String::new();
        if escaped {
            text.extend(self.bump());
        }
        text.extend(self.bump());
        text.push_str(&self.take_while(|char| char != '\'' && char != '\n'));
        self.bump_by(1);
        self.push(TokenKind::Text, text, line);
    }

    fn word(&mut self) {
        let line = self.line;
        let word = self.take_while(is_word);
        let hashes = (0..).take_while(|&i| self.peek(i) == Some('#')).count();
        let quote_follows = self.peek(hashes) == Some('"');
        match word.as_str() {
            "r" | "br" | "cr" if quote_follows => self.raw_string(hashes),
            "b" | "c" if hashes == 0 && quote_follows => self.string(),
            "b" if self.peek(0) == Some('\'') => self.quote(),
            "r" if hashes == 1 => {
                self.bump_by(1);
                let name = self.take_while(is_word);
                self.push(TokenKind::Word, format!("r#{name}"), line);
            }
            _ => self.push(TokenKind::Word, word, line),
        }
    }

    fn mark(&mut self, first: char) {
        let line = self.line;
        let double = matches!((first, self.peek(1)), (':', Some(':')) | ('-' | '=', Some('>')));
        let length = 1 + usize::from(double);
        let text = self.chars[self.at..self.at + length].iter().collect();
        self.bump_by(length);
        self.push(TokenKind::Mark, text, line);
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(char) = self.peek(0).filter(|&char| wanted(char)) {
            text.push(char);
            self.bump_by(1);
        }
        text
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        let tokens = lex(source).tokens.into_iter();
        tokens.filter(|token| token.kind == TokenKind::Word).map(|token| token.text).collect()
    }

    fn texts(source: &str) -> Vec<String> {
        let tokens = lex(source).tokens.into_iter();
        tokens.filter(|token| token.kind == TokenKind::Text).map(|token| token.text).collect()
    }

    #[test]
    fn strings_hide_what_looks_like_code() {
        let source = r###"a "fn b { \" } // c" r"\" d r#"e " f"# br##"g "# h"## b"i" c"j" k"###;
        assert_eq!(words(source), ["a", "d", "k"]);
        assert_eq!(
            texts(source),
            [r#"fn b { \" } // c"#, r"\", r#"e " f"#, r##"g "# h"##, "i", "j"]
        );
    }

    #[test]
    fn characters_and_lifetimes_are_told_apart() {
        let source = r"'a' <'b> '\'' '\u{1f600}' '{' b'\\' b'x' 'static '語' end";
        assert_eq!(words(source), ["'b", "'static", "end"]);
        assert_eq!(texts(source), ["a", r"\'", r"\u{1f600}", "{", r"\\", "x", "語"]);
    }

    #[test]
    fn comments_nest_and_keep_their_lines() {
        let lexed = lex("a // b\n/* c /* d */\n e */ f\n\"g\nh\" i");
        let comments: Vec<_> = lexed.comments.iter().map(|c| (c.line, c.text.as_str())).collect();
        assert_eq!(comments, [(1, "// b"), (2, "/* c /* d */"), (3, " e */")]);
        let tokens: Vec<_> = lexed.tokens.iter().map(|t| (t.line, t.text.as_str())).collect();
        assert_eq!(tokens, [(1, "a"), (3, "f"), (4, "g\nh"), (5, "i")]);
    }

    #[test]
    fn raw_identifiers_and_double_marks() {
        let lexed = lex("r#fn::x -> 1 => >>");
        let texts: Vec<_> = lexed.tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(texts, ["r#fn", "::", "x", "->", "1", "=>", ">", ">"]);
    }

    #[test]
    fn unfinished_source_ends() {
        for source in ["\"a", "r#\"a", "/* a", "'", "'\\", "b'", "r#", "r##x"] {
            lex(source);
        }
    }
}
