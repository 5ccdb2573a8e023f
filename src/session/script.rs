//! The script for pages, which is a part of the crate, served at a path.

use crate::codec::http::{Head, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest as _, Sha1};
use std::fmt;

/// The script for pages, `swio.js`. With it a page writes `new Swio(url)` and gets the interface of a WebSocket,
/// topics to subscribe to, and sessions that resume, over WebSocket, event stream and long polling alike. It needs
/// nothing else. [`Builder::script`](crate::Builder::script) serves it; use this text to serve it by other means.
///
/// It has 27 KB, or 8 KB if a proxy compresses it. What it offers to pages, in the crate's `src/page/swio.d.ts`:
///
/// ```ts
#[doc = include_str!("../page/swio.d.ts")]
/// ```
// A static: of a constant the documentation would show the whole value.
pub static SCRIPT: &str = include_str!("../page/swio.js");

/// Where the script is served.
#[derive(Debug)]
pub(crate) struct Script {
    path: String,
    etag: String,
}

/// The script can't be served at this path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScriptPathError(String);

impl fmt::Display for ScriptPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't serve the script at {:?}: expected a path, such as /swio.js", self.0)
    }
}

impl Script {
    pub(crate) fn new(path: String) -> Result<Script, ScriptPathError> {
        if !path.starts_with('/') || path.contains(['?', '#']) {
            return Err(ScriptPathError(path));
        }
        let digest = Sha1::digest(SCRIPT);
        Ok(Script { path, etag: format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..12])) })
    }

    /// The answer, if a request asks for the script. Browsers ask each time the page is loaded, because the script
    /// must fit its server; those that have this version already get 304 (RFC 9110 §13.1.2).
    pub(crate) fn answer(&self, head: &Head<'_>) -> Option<Response> {
        if head.path() != self.path || !matches!(head.method, "GET" | "HEAD") {
            return None;
        }
        let is_known =
            head.list("if-none-match").any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.etag);
        let response = Response::new(if is_known { 304 } else { 200 })
            .header("Cache-Control", "no-cache")
            .header("ETag", self.etag.clone());
        Some(match is_known {
            true => response,
            false => response
                .header("Content-Type", "text/javascript; charset=utf-8")
                .header("X-Content-Type-Options", "nosniff")
                .body(SCRIPT.as_bytes()),
        })
    }
}
