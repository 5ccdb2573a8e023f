//! Messages that are encoded once and sent many times.

use crate::codec::labels::Labels;
use crate::codec::ws::{Opcode, header};
use crate::net::outbox::Encoded;
use crate::session::frame::Data;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A message that is encoded already: sending it again and again, to few or to many, costs no copy and no encoding. It
/// is cheap to clone and can be used from any thread, wherever a [`Message`](crate::Message) can.
///
/// It holds the frame for plain WebSockets. Other forms, such as those for event streams and
/// [envelopes](crate::Envelope), are kept too once they are needed: up to 16, each for the topic, id and event name
/// that it was last sent with.
///
/// ```no_run
/// # use swio::{Fd, Message, Prepared, Server};
/// let welcome: Prepared = Message::from("welcome").prepare();
/// Server::builder()
///     .listen("127.0.0.1:9501")
///     .on_open(move |server, request| { server.push(request.fd, &welcome).ok(); })
///     .run()
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct Prepared(Arc<Inner>);

struct Inner {
    frame: Encoded,
    others: Mutex<Vec<Other>>,
}

/// Its encoding in another format.
struct Other {
    format: u64,
    labels: Option<Labels>,
    run: Encoded,
}

/// Formats of other reactors count too, so there is no limit to their number.
const OTHERS_MAX: usize = 16;

impl Prepared {
    pub(crate) fn new(opcode: Opcode, bytes: &[u8]) -> Prepared {
        let mut frame = Vec::new();
        header::append_frame(&mut frame, opcode, bytes);
        Prepared(Arc::new(Inner { frame: frame.into(), others: Mutex::default() }))
    }

    /// Text or Binary.
    pub fn opcode(&self) -> Opcode {
        Opcode::from_bits(self.0.frame[0] & 0x0f).expect("encoded here")
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.frame[header::encoded_len(&self.0.frame)..]
    }

    pub(crate) fn frame(&self) -> &Encoded {
        &self.0.frame
    }

    /// The encoding in the format with this key, made now if there is none with these labels; `None` if the message
    /// has no form there.
    pub(crate) fn run(
        &self,
        format: u64,
        labels: Option<&Labels>,
        encode: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<Encoded> {
        let others = || self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |other: &&Other| other.format == format && other.labels.as_ref() == labels;
        if let Some(other) = others().iter().find(is_it) {
            return Some(other.run.clone());
        }
        // Not under the lock: `encode` may run the application's code, which may take its time.
        let run: Encoded = encode()?.into();
        let mut others = others();
        others.retain(|other| other.format != format);
        if others.len() == OTHERS_MAX {
            others.remove(0);
        }
        others.push(Other { format, labels: labels.cloned(), run: run.clone() });
        Some(run)
    }
}

/// Equal if kind and payload are.
impl PartialEq for Prepared {
    fn eq(&self, other: &Prepared) -> bool {
        self.0.frame == other.0.frame
    }
}

impl Eq for Prepared {}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prepared").field(&Data::new(self.opcode(), self.as_bytes())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(topic: &str) -> Labels {
        Labels { topic: topic.to_owned(), ..Labels::default() }
    }

    #[test]
    fn a_format_is_encoded_again_for_other_labels_only() {
        let prepared = Prepared::new(Opcode::Text, b"x");
        let encoded = std::cell::Cell::new(0u8);
        let run = |format, labels: Option<&Labels>| {
            let run = prepared.clone().run(format, labels, || {
                encoded.set(encoded.get() + 1);
                Some(vec![encoded.get()])
            });
            run.expect("it has a form")[0]
        };
        assert_eq!([run(1, None), run(1, None), run(2, None), run(1, None)], [1, 1, 2, 1]);
        assert_eq!([run(1, Some(&labels("a"))), run(1, Some(&labels("a")))], [3, 3]);
        assert_eq!([run(1, Some(&labels("b"))), run(1, None), run(2, None)], [4, 5, 2]);
        // A message without a form is not kept.
        assert_eq!(prepared.run(3, None, || None), None);
        assert_eq!(run(3, None), 6);
        // Only so many are kept.
        let many: Vec<u8> = (10..10 + OTHERS_MAX as u64).map(|format| run(format, None)).collect();
        assert_eq!(many, (7..7 + OTHERS_MAX as u8).collect::<Vec<_>>());
        assert_eq!((run(10, None), run(1, None)), (7, 7 + OTHERS_MAX as u8));
        assert_eq!(prepared.0.others.lock().expect("no test panicked").len(), OTHERS_MAX);
    }
}
