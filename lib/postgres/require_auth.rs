//! `require_auth`: by which methods a server may ask who we are.
//!
//! It protects against whoever poses as the server and asks for the password in clear. So it is
//! checked at each request of the server's, before anything is sent in answer.

use crate::error::{Error, Kind, Result};
use std::io;

/// The methods by libpq's names, each with the request by which a server asks for it
/// (`AuthenticationCleartextPassword` and so on, see the protocol's message formats).
const METHODS: [(&str, u32); 5] = [
    ("password", 3),
    ("md5", 5),
    ("gss", 7),
    ("sspi", 9),
    ("scram-sha-256", 10),
];
/// The request which says that there is none: the server is content.
const OK: u32 = 0;
const NONE: &str = "none";

/// The methods that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Methods {
    listed: Vec<String>,
    /// The listed ones are those that are not allowed.
    negated: bool,
    /// The server has asked for something.
    asked: bool,
}

impl Methods {
    /// Reads a list such as `scram-sha-256,md5` or `!password,!none`.
    ///
    /// # Errors
    /// It makes no sense.
    pub(super) fn parse(list: &str) -> Result<Self> {
        let wrong = |what: String| {
            Err(Error::new(Kind::Config, what)
                .with_hint("require_auth takes password, md5, gss, sspi, scram-sha-256 and none, all with or all without a leading '!'."))
        };
        let words: Vec<&str> = list.split(',').map(str::trim).collect();
        let negated = words.iter().filter(|word| word.starts_with('!')).count();
        if negated != 0 && negated != words.len() {
            return wrong(format!("require_auth '{list}' both allows and forbids"));
        }
        let listed: Vec<String> = words
            .iter()
            .map(|word| word.trim_start_matches('!').to_owned())
            .collect();
        let known = |word: &&String| *word == NONE || METHODS.iter().any(|(name, _)| name == word);
        if let Some(unknown) = listed.iter().find(|word| !known(word)) {
            return wrong(format!("'{unknown}' is no method for require_auth"));
        }
        Ok(Self {
            listed,
            negated: negated > 0,
            asked: false,
        })
    }

    /// Looks at the server's next request.
    ///
    /// # Errors
    /// The method is not allowed ([`io::ErrorKind::PermissionDenied`]).
    pub(super) fn check(&mut self, request: u32) -> io::Result<()> {
        let method = match METHODS.iter().find(|(_, code)| *code == request) {
            Some((name, _)) => *name,
            // Without having asked for anything.
            None if request == OK && !self.asked => NONE,
            // Further steps of a method that was allowed.
            None => return Ok(()),
        };
        self.asked = true;
        if self.listed.iter().any(|listed| listed == method) != self.negated {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("the server asks for authentication by '{method}', which require_auth forbids"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, requests: &[u32]) -> bool {
        let mut methods = Methods::parse(list).unwrap();
        requests
            .iter()
            .all(|&request| methods.check(request).is_ok())
    }

    #[test]
    fn methods_are_allowed_or_forbidden() {
        let (scram, clear, trust) = ([10, 11, 12, 0], [3, 0], [0]);
        assert!(allows("scram-sha-256", &scram));
        assert!(!allows("scram-sha-256", &clear));
        assert!(!allows("scram-sha-256", &trust));
        assert!(allows("password, none", &clear) && allows("password, none", &trust));
        assert!(allows("!password", &scram) && allows("!password", &trust));
        assert!(!allows("!password,!md5", &clear));
        for wrong in ["", "scram", "password,!md5"] {
            assert!(Methods::parse(wrong).is_err(), "{wrong}");
        }
    }
}
