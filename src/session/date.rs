//! The `Date` header of answers.

use std::time::{Duration, Instant, SystemTime};

/// The value of the `Date` header, made at most once a second.
#[derive(Debug, Default)]
pub(crate) struct Date {
    text: String,
    until: Option<Instant>,
}

impl Date {
    pub(crate) fn text(&mut self, now: Instant) -> &str {
        if self.until.is_none_or(|until| now >= until) {
            self.text = httpdate::fmt_http_date(SystemTime::now());
            self.until = Some(now + Duration::from_secs(1));
        }
        &self.text
    }
}
