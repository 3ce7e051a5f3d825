//! Patterns over names of images: registry and repository, without tag and digest.
//!
//! `*` is any characters, slashes too; `?` is one character; `[a-z]` is one of these and `[!a-z]` one of the others; a
//! backslash takes the next character as it is.

/// Longest pattern: names have 255 characters and a host.
const MAX: usize = 512;
/// Hosts that are Docker Hub.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Nothing.
    #[error("a pattern must not be empty: * matches every image")]
    Empty,
    /// Too much.
    #[error("a pattern has {MAX} characters at most")]
    Long,
    /// `[` without an end or without content.
    #[error("[ is not closed, or has nothing in it")]
    Class,
    /// A range from a higher character to a lower one.
    #[error("{0}-{1} is no range")]
    Range(char, char),
    /// `\` at the end.
    #[error("there is nothing after the last backslash")]
    Backslash,
    /// `{a,b}`.
    #[error("there are no alternatives in braces: write a rule for each")]
    Braces,
}

/// A pattern, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Of { not: bool, ranges: Vec<(char, char)> },
    Is(char),
}

impl Token {
    fn fits(&self, c: char) -> bool {
        match self {
            Token::Any => false,
            Token::One => true,
            Token::Of { not, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *not,
            Token::Is(other) => *other == c,
        }
    }
}

impl Pattern {
    /// The pattern that matches every name.
    pub fn everything() -> Self {
        Pattern(vec![Token::Any])
    }

    /// Reads a pattern. The registry in it means what it means in a name, see [`name`].
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if text.is_empty() {
            return Err(BadPattern::Empty);
        }
        if text.len() > MAX {
            return Err(BadPattern::Long);
        }
        let text = match text.split_once('/') {
            Some((host, rest)) => format!("{}/{rest}", registry(host)),
            None => text.to_owned(),
        };
        let mut tokens = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let token = match c {
                '*' => Token::Any,
                '?' => Token::One,
                '[' => class(&mut rest)?,
                '{' | '}' => return Err(BadPattern::Braces),
                '\\' => Token::Is(rest.next().ok_or(BadPattern::Backslash)?),
                c => Token::Is(c),
            };
            // Several stars in a row are one.
            if token != Token::Any || tokens.last() != Some(&Token::Any) {
                tokens.push(token);
            }
        }
        Ok(Pattern(tokens))
    }

    /// Whether a name (as [`name`] gives it) matches, all of it.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut token) = (0, 0);
        // Where to go on if what comes after the last star does not fit: that star takes one character more.
        let mut last: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.0.get(token) {
                Some(Token::Any) => {
                    last = Some((at, token));
                    token += 1;
                    continue;
                }
                Some(one) if one.fits(name[at]) => {
                    at += 1;
                    token += 1;
                    continue;
                }
                _ => {}
            }
            let Some((from, star)) = last else { return false };
            last = Some((from + 1, star));
            (at, token) = (from + 1, star + 1);
        }
        self.0[token..].iter().all(|token| *token == Token::Any)
    }
}

/// What stands in brackets; the opening one is read.
fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, BadPattern> {
    let mut next = || rest.next().ok_or(BadPattern::Class);
    let mut first = next()?;
    let not = matches!(first, '!' | '^');
    if not {
        first = next()?;
    }
    let mut ranges = Vec::new();
    let mut c = first;
    while c != ']' {
        if c == '\\' {
            c = next()?;
        }
        let low = c;
        c = next()?;
        if c != '-' {
            ranges.push((low, low));
            continue;
        }
        let mut high = next()?;
        if high == '\\' {
            high = next()?;
        }
        if high == ']' || high < low {
            return Err(BadPattern::Range(low, high));
        }
        ranges.push((low, high));
        c = next()?;
    }
    if ranges.is_empty() {
        return Err(BadPattern::Class);
    }
    Ok(Token::Of { not, ranges })
}

/// One name for a registry that has several: Docker Hub is `docker.io`, case does not matter, nor does the usual port.
fn registry(host: &str) -> String {
    let lower = host.to_ascii_lowercase();
    let (name, port) = match lower.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
        _ => (lower.as_str(), None),
    };
    let name = name.trim_end_matches('.');
    let port = port.filter(|port| *port != "443");
    if port.is_none() && HUB.contains(&name) {
        return HUB[0].to_owned();
    }
    match port {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

/// An image's name as patterns see it.
pub fn name(host: &str, repository: &str) -> String {
    let registry = registry(host);
    if registry == HUB[0] && !repository.contains('/') {
        return format!("{registry}/library/{repository}");
    }
    format!("{registry}/{repository}")
}

/// Why a pattern, though it is one, matches no image at all; nothing if it may match some.
pub fn never(text: &str) -> Option<&'static str> {
    let wild = |text: &str| text.contains(['*', '?', '[', '\\']);
    let Some((host, rest)) = text.split_once('/') else {
        return (!wild(text)).then_some("it has no repository: names are complete (docker.io/library/nginx)");
    };
    if !wild(host) && host != "localhost" && !host.contains(['.', ':']) {
        return Some("it does not begin with a registry: names are complete (docker.io/library/nginx)");
    }
    if rest.contains([':', '@']) {
        return Some("it has a tag or a digest, and names are compared without");
    }
    (!wild(rest) && rest.contains(|c: char| c.is_ascii_uppercase())).then_some("repositories have no capital letters")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_star_goes_over_slashes_and_everything_else_is_about_one_character() {
        for (pattern, name, expected) in [
            ("registry.k8s.io/*", "registry.k8s.io/coredns/coredns", true),
            ("registry.k8s.io/*", "registry.k8s.io.evil.example/x", false),
            ("registry.k8s.io/*", "evil.example/registry.k8s.io/x", false),
            ("*", "a.b/c", true),
            ("**", "a.b/c", true),
            ("docker.io/library/nginx*", "docker.io/library/nginx", true),
            ("docker.io/library/nginx*", "docker.io/library/nginx-unprivileged", true),
            ("ghcr.io/me/app", "ghcr.io/me/app", true),
            ("ghcr.io/me/app", "ghcr.io/me/apps", false),
            ("ghcr.io/me/ap?", "ghcr.io/me/app", true),
            ("ghcr.io/me/a?p", "ghcr.io/me/a/pp", false),
            ("ghcr.io/*/app", "ghcr.io/a/b/app", true),
            ("ghcr.io/*/app", "ghcr.io/app", false),
            ("r[0-9].example/[!x]*", "r7.example/yx", true),
            ("r[0-9].example/[!x]*", "r7.example/xy", false),
            (r"r.example/a\*", "r.example/ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} and {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, why) in [
            ("", BadPattern::Empty),
            ("a/[", BadPattern::Class),
            ("a/[]", BadPattern::Class),
            ("a/[z-a]", BadPattern::Range('z', 'a')),
            ("a/[b-]", BadPattern::Range('b', ']')),
            ("a/\\", BadPattern::Backslash),
            ("{a,b}/c", BadPattern::Braces),
        ] {
            assert_eq!(Pattern::parse(text), Err(why), "{text}");
        }
        assert_eq!(Pattern::parse(&"a".repeat(513)), Err(BadPattern::Long));
    }

    #[test]
    fn registries_with_several_names_are_one() {
        for (host, repository, expected) in [
            ("docker.io", "nginx", "docker.io/library/nginx"),
            ("index.docker.io", "me/app", "docker.io/me/app"),
            ("registry-1.docker.io", "library/nginx", "docker.io/library/nginx"),
            ("GHCR.io", "me/app", "ghcr.io/me/app"),
            ("ghcr.io.", "me/app", "ghcr.io/me/app"),
            ("ghcr.io:443", "me/app", "ghcr.io/me/app"),
            ("localhost:5000", "app", "localhost:5000/app"),
        ] {
            assert_eq!(name(host, repository), expected);
        }
        assert!(matches("index.docker.io/library/*", &name("docker.io", "nginx")));
        assert!(matches("GHCR.IO:443/*", &name("ghcr.io", "me/app")));
    }

    #[test]
    fn a_pattern_that_can_match_nothing_is_noticed() {
        for text in [
            "nginx",
            "library/nginx*",
            "ghcr.io/me/app:v1",
            "ghcr.io/a@sha256:*",
            "ghcr.io/Me",
        ] {
            assert!(never(text).is_some(), "{text}");
        }
        for text in [
            "*",
            "*/app",
            "ghcr.io/*",
            "localhost/a",
            "localhost:3000/*",
            "r?gistry/a",
            "*nginx",
        ] {
            assert_eq!(never(text), None, "{text}");
        }
    }

    proptest! {
        /// The plain, slow way says the same.
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab/*?]{1,8}", name in "[ab/]{0,10}") {
            fn slow(pattern: &[char], name: &[char]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, rest) => rest.is_none(),
                    (Some(('*', rest)), None) => slow(rest, name),
                    (Some(('*', rest)), Some((_, tail))) => slow(rest, name) || slow(pattern, tail),
                    (Some(('?', rest)), Some((_, tail))) => slow(rest, tail),
                    (Some((c, rest)), Some((d, tail))) => c == d && slow(rest, tail),
                    (Some(_), None) => false,
                }
            }
            let (chars, names): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(matches(&pattern, &name), slow(&chars, &names));
        }

        #[test]
        fn a_name_matches_itself(name in "[a-z0-9.-]{1,9}(/[a-z0-9._-]{1,9}){1,3}") {
            let (host, repository) = name.split_once('/').unwrap();
            let normal = super::name(host, repository);
            prop_assert!(matches(&normal, &normal));
        }

        #[test]
        fn no_text_is_too_much(text in any::<String>(), name in any::<String>()) {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.matches(&name);
            }
            never(&text);
        }
    }
}
