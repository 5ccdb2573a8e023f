//! Bytes that are held until more of them come. Their memory is shared by all connections, so none reserves much of it.

/// What the server has answered to a handshake of this side, as far as it is there.
#[derive(Debug, Default)]
pub(crate) struct HeldAnswer {
    pub(crate) bytes: Vec<u8>,
    /// The end of the head is not within this many bytes.
    pub(crate) searched: usize,
    /// The length of the interim responses before it, all together.
    pub(crate) interim_len: usize,
}

impl HeldAnswer {
    /// Memory without the bytes, including the allocator's overhead.
    const OWN_BYTES: usize = size_of::<HeldAnswer>() + 32;

    pub(crate) fn held_bytes(&self) -> usize {
        HeldAnswer::OWN_BYTES + self.bytes.capacity()
    }

    /// Appends `more` if everything then fits into `room` bytes of memory. Returns whether it did.
    pub(crate) fn keep(&mut self, more: &[u8], room: usize) -> bool {
        room.checked_sub(HeldAnswer::OWN_BYTES).is_some_and(|room| append_within(&mut self.bytes, more, room))
    }

    /// An interim response is at the start: drops it.
    pub(crate) fn pass_interim(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.interim_len += len;
        self.searched = 0;
    }
}

/// Appends `more` if everything then fits into `room`. Returns whether it did.
pub(crate) fn append_within(bytes: &mut Vec<u8>, more: &[u8], room: usize) -> bool {
    let (needed, capacity) = (bytes.len() + more.len(), bytes.capacity());
    let Some(spare) = room.checked_sub(needed) else { return false };
    if needed > capacity {
        bytes.reserve_exact((2 * capacity).min(needed + spare / 8).max(needed) - bytes.len());
    }
    bytes.extend_from_slice(more);
    true
}
