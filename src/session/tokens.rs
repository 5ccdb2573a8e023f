//! Names of sessions that nobody can guess. With its token a client proves that a request on another connection
//! belongs to its session. Tokens are never logged, and are valid for as long as the session lives.

use crate::fd::Fd;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use std::fmt;

const BYTES: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Token([u8; BYTES]);

impl Token {
    pub(crate) fn draw() -> Result<Token, getrandom::Error> {
        let mut token = Token([0; BYTES]);
        getrandom::fill(&mut token.0)?;
        Ok(token)
    }
}

/// Shows nothing of the token, because logs may be kept.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The sessions that have a token, and their tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    fds: HashMap<Token, Fd>,
    tokens: HashMap<Fd, Token>,
}

impl Tokens {
    /// A new token for a session that has none: 128 bits of the system's randomness in 22 characters of base64url.
    pub(crate) fn issue(&mut self, fd: Fd) -> Result<String, getrandom::Error> {
        Ok(self.give(fd, Token::draw()?))
    }

    /// Gives a session a token that was drawn before.
    pub(crate) fn give(&mut self, fd: Fd, token: Token) -> String {
        self.fds.insert(token, fd);
        self.tokens.insert(fd, token);
        URL_SAFE_NO_PAD.encode(token.0)
    }

    /// The session with this token.
    pub(crate) fn find(&self, text: &str) -> Option<Fd> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        self.fds.get(&Token(bytes.try_into().ok()?)).copied()
    }

    /// The session is over.
    pub(crate) fn revoke(&mut self, fd: Fd) {
        if let Some(token) = self.tokens.remove(&fd) {
            self.fds.remove(&token);
        }
        if self.tokens.is_empty() {
            self.fds.shrink_to(64);
            self.tokens.shrink_to(64);
        }
    }
}

#[cfg(test)]
impl crate::session::Sessions {
    pub(crate) fn token_count(&self) -> usize {
        assert_eq!(self.tokens.fds.len(), self.tokens.tokens.len());
        self.tokens.fds.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_session_until_that_is_over() {
        let (one, two) = (Fd::new(0, 0, 1), Fd::new(0, 0, 2));
        let mut tokens = Tokens::default();
        let (first, second) = (tokens.issue(one).expect("random"), tokens.issue(two).expect("random"));
        assert_ne!(first, second);
        assert_eq!(first.len(), 22);
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!((tokens.find(&first), tokens.find(&second)), (Some(one), Some(two)));
        for wrong in
            ["", "A", &first[1..], &format!("{first}A"), &format!("{first}=="), "?", &"A".repeat(5_000)]
        {
            assert_eq!(tokens.find(wrong), None, "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains(&first));
        tokens.revoke(one);
        tokens.revoke(one);
        assert_eq!((tokens.find(&first), tokens.find(&second)), (None, Some(two)));
    }
}
