//! Counts of messages that were dropped or replaced for want of room.

/// Messages that were pushed and will never be sent, though their connections lived on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Lost {
    /// For want of room, by a policy of [`SlowConsumer`](crate::SlowConsumer).
    pub dropped: u64,
    /// In favour of a newer one with the same key ([`Message::latest`](crate::Message::latest)).
    pub replaced: u64,
}
