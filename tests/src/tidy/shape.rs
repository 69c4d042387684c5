//! Finds functions, structs and test code in a file's tokens.

use super::lexer::Token;

/// A function that has a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of the word `fn`.
    pub line: usize,
    /// Lines from the opening to the closing brace of its body, both included.
    pub body_lines: usize,
}

/// A struct.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Struct {
    /// Its name.
    pub name: String,
    /// Its line.
    pub line: usize,
    /// How many fields it has.
    pub fields: usize,
    /// What it derives.
    pub derives: Vec<String>,
}

/// An item that exists in test builds only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestItem {
    /// The line of its `cfg` attribute.
    pub first_line: usize,
    /// Its last line.
    pub last_line: usize,
    /// If it is a module in a file of its own: the module's name and its `path` attribute.
    pub module: Option<(String, Option<String>)>,
}

/// Index of the token that closes the bracket at `open`; the last token if none does.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if ["(", "[", "{"].iter().any(|mark| token.is_mark(mark)) {
            depth += 1;
        } else if [")", "]", "}"].iter().any(|mark| token.is_mark(mark)) {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Where an item's body `{ ... }` opens, searching from `at`; `None` if it ends without one.
fn body(tokens: &[Token], mut at: usize) -> Option<usize> {
    loop {
        let token = tokens.get(at)?;
        if token.is_mark("{") {
            return Some(at);
        }
        if [";", ")", "]", "}"].iter().any(|mark| token.is_mark(mark)) {
            return None;
        }
        if token.is_mark("(") || token.is_mark("[") {
            at = closing(tokens, at);
        }
        at += 1;
    }
}

/// Every function with a body, nested ones and those in macros included.
pub fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.is_word("fn")) {
        // A macro may call it `$name`; `fn(` is a pointer type.
        let name_at = at + 1 + usize::from(tokens.get(at + 1).is_some_and(|t| t.is_mark("$")));
        let Some(name) = tokens.get(name_at).filter(|name| !name.is_mark("(")) else { continue };
        let Some(open) = body(tokens, name_at) else { continue };
        let last = tokens[closing(tokens, open)].line;
        let body_lines = last - tokens[open].line + 1;
        found.push(Function { name: name.text.clone(), line: token.line, body_lines });
    }
    found
}

/// Every struct, with what its `derive` attributes name.
pub fn structs(tokens: &[Token]) -> Vec<Struct> {
    const OTHER_ITEMS: [&str; 10] =
        ["enum", "union", "fn", "impl", "mod", "trait", "const", "static", "use", "type"];
    let mut found = Vec::new();
    let mut derives = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.is_word("derive") && tokens.get(at + 1).is_some_and(|next| next.is_mark("(")) {
            let inside = &tokens[at + 2..closing(tokens, at + 1)];
            derives.extend(inside.iter().map(|token| token.text.clone()));
        } else if token.is_word("struct") {
            let Some(name) = tokens.get(at + 1) else { continue };
            let derives = core::mem::take(&mut derives);
            let fields = fields(tokens, at + 2);
            found.push(Struct { name: name.text.clone(), line: token.line, fields, derives });
        } else if OTHER_ITEMS.iter().any(|word| token.is_word(word)) {
            derives.clear();
        }
    }
    found
}

/// Counts the fields of the struct whose generics, if any, begin at `at`.
fn fields(tokens: &[Token], mut at: usize) -> usize {
    let mut angles = 0_usize;
    while let Some(token) = tokens.get(at) {
        let opens = token.is_mark("{") || token.is_mark("(");
        match token.text.as_str() {
            "<" => angles += 1,
            ">" => angles = angles.saturating_sub(1),
            ";" if angles == 0 => return 0,
            _ if opens && angles == 0 => {
                return comma_separated(&tokens[at + 1..closing(tokens, at)]);
            }
            _ if opens => at = closing(tokens, at),
            _ => {}
        }
        at += 1;
    }
    0
}

/// How many parts the commas outside of all brackets make; a last comma makes none.
fn comma_separated(tokens: &[Token]) -> usize {
    let (mut depth, mut parts, mut in_part) = (0_usize, 0, false);
    for token in tokens {
        match token.text.as_str() {
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" | ">" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_separator = depth == 0 && token.is_mark(",");
        parts += usize::from(!is_separator && !in_part);
        in_part = !is_separator;
    }
    parts
}

/// Every item under `#[cfg(test)]`, also where `test` is one of several conditions that all hold.
pub fn test_items(tokens: &[Token]) -> Vec<TestItem> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some(item_at) = behind_test_attribute(tokens, at) else {
            at += 1;
            continue;
        };
        let (item, last) = test_item(tokens, at, item_at);
        found.push(item);
        at = last + 1;
    }
    found
}

/// If an outer `cfg` attribute for tests begins at `at`: the index behind it.
fn behind_test_attribute(tokens: &[Token], at: usize) -> Option<usize> {
    let starts = tokens[at].is_mark("#")
        && tokens.get(at + 1)?.is_mark("[")
        && tokens.get(at + 2)?.is_word("cfg");
    starts.then_some(())?;
    let end = closing(tokens, at + 1);
    let has = |word| tokens[at..end].iter().any(|token| token.is_word(word));
    (has("test") && !has("any") && !has("not")).then_some(end + 1)
}

/// The item whose first `cfg` attribute is at `first` and whose rest begins at `at`, and the
/// index of its last token.
fn test_item(tokens: &[Token], first: usize, mut at: usize) -> (TestItem, usize) {
    let mut path = None;
    while tokens.get(at).is_some_and(|token| token.is_mark("#")) {
        let end = closing(tokens, at + 1);
        if tokens.get(at + 2).is_some_and(|token| token.is_word("path")) {
            path = tokens.get(at + 4).map(|token| token.text.clone());
        }
        at = end + 1;
    }
    let mut module = None;
    let mut last = tokens.len().saturating_sub(1);
    while let Some(token) = tokens.get(at) {
        if token.is_mark("{") || token.is_mark(";") {
            last = closing(tokens, at);
            break;
        }
        if token.is_word("mod") && tokens.get(at + 2).is_some_and(|next| next.is_mark(";")) {
            module = tokens.get(at + 1).map(|name| (name.text.clone(), path.take()));
        }
        if token.is_mark("(") || token.is_mark("[") {
            at = closing(tokens, at);
        }
        at += 1;
    }
    let (first_line, last_line) = (tokens[first].line, tokens[last].line);
    (TestItem { first_line, last_line, module }, last)
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::*;

    #[test]
    fn functions_have_the_length_of_their_bodies() {
        let source = "fn a() -> [u8; 2] {\n let b: fn(u8);\n \"}\" // }\n}\ntrait T { fn c(); }\n\
                      impl T { fn d<T>()\nwhere T: Fn(u8) {} }\n\
                      macro_rules! m { ($n:ident) => { fn $n() {\n} } }";
        let found: Vec<_> =
            functions(&lex(source).tokens).into_iter().map(|f| (f.name, f.body_lines)).collect();
        assert_eq!(found, [("a".into(), 4), ("d".into(), 1), ("n".into(), 2)]);
    }

    #[test]
    fn structs_have_fields_and_derives() {
        let source = "#[derive(Clone, Debug)]\n/// x\npub struct A<F: Fn(u8, u8)> where F: Copy {\n\
                      a: HashMap<K, (V, W)>, b: fn(u8) -> u8, #[x(y, z)] c: [u8; 2],\n}\n\
                      struct B; struct C(u8, u8); #[derive(Debug)] enum E { X } struct D {}";
        let found: Vec<_> = structs(&lex(source).tokens)
            .into_iter()
            .map(|s| (s.name, s.fields, s.derives.contains(&"Debug".to_owned())))
            .collect();
        let expected = [("A", 3, true), ("B", 0, false), ("C", 2, false), ("D", 0, false)];
        assert_eq!(found, expected.map(|(name, fields, debug)| (name.to_owned(), fields, debug)));
    }

    #[test]
    fn test_items_are_found_in_all_their_forms() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\n#[cfg(not(test))]\n\
                      fn c() {}\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod other;\n\
                      #[cfg(all(test, unix))]\nfn d() {\n}\n#[cfg(any(test, fuzzing))]\nfn e() {}";
        let found: Vec<_> = test_items(&lex(source).tokens)
            .into_iter()
            .map(|item| (item.first_line, item.last_line, item.module))
            .collect();
        let module = Some(("other".to_owned(), Some("x.rs".to_owned())));
        assert_eq!(found, [(2, 5, None), (8, 10, module), (11, 13, None)]);
    }
}
