//! A peer's bytes to messages and control events, one step a call. Unmasks in place and yields ranges of the
//! caller's buffer; owns memory only while a frame or message is partly here, and grows as bytes arrive,
//! never by a declared length.

use super::header::{self, CONTROL_MAX, Header, MASKED_MAX};
use super::{Opcode, ProtocolError, Role, close, mask, utf8};
use std::ops::Range;

/// What one connection may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageLimits {
    /// Which end this side is, and so whether what comes must be masked.
    pub(crate) role: Role,
    pub(crate) message_bytes_max: usize,
    pub(crate) fragments_max: u32,
    /// Bytes of memory that may be taken beyond what the decoder holds.
    pub(crate) room: usize,
    /// What is not whole yet is given in parts as it comes, not collected.
    pub(crate) in_parts: bool,
}

/// Where an event's bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// In the input of the step that yielded the event.
    Input(Range<usize>),
    /// Collected from several reads or fragments.
    Owned(Vec<u8>),
}

impl Payload {
    /// The bytes; `input` is what the step was given.
    pub(crate) fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        match self {
            Payload::Input(range) => &input[range.clone()],
            Payload::Owned(bytes) => bytes,
        }
    }
}

/// What a step found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A whole message: `Text` (checked to be UTF-8) or `Binary`.
    Message(Opcode, Payload),
    /// Of a message of this kind, what came of it: where [`MessageLimits::in_parts`] asks for that.
    Part(Opcode, Part),
    Ping(Payload),
    Pong(Payload),
    /// The code is 1005 where the frame had none.
    Close(u16, Box<str>),
}

/// Some more of a message. A text's parts are UTF-8 only together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where in the input of the step it is.
    pub(crate) range: Range<usize>,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
}

/// The state of one direction of a WebSocket. Between messages it owns nothing.
///
/// After an error or a close event the decoder has nothing more to say: feed it no further bytes.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    partial: Option<Box<PartialMessage>>,
}

/// What is known of a frame or message that is not whole yet.
#[derive(Debug, Default)]
struct PartialMessage {
    /// Bytes of a header that is not whole yet.
    header: [u8; MASKED_MAX],
    header_len: u8,
    /// The frame whose payload is arriving, its mask rotated to the next byte and its length what is still
    /// to come.
    frame: Option<Header>,
    /// The message whose fragments are arriving, `None` while only a control frame or a header is.
    opcode: Option<Opcode>,
    fragments: u32,
    /// Frames begun since this was last asked for.
    frames: u32,
    /// Bytes of the message so far.
    taken: usize,
    /// Some of the message was given already.
    is_given: bool,
    message: Vec<u8>,
    utf8: utf8::Validator,
    /// The payload so far of a control frame: it may stand between fragments, so it has its own room.
    control: Vec<u8>,
}

/// Memory for partial frames and messages that nobody uses at the moment, shared by all decoders: an idle one
/// owns none, and a busy one need not ask the allocator for each message.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    #[expect(clippy::vec_box, reason = "decoders hold boxes, so that an idle one costs a pointer")]
    partials: Vec<Box<PartialMessage>>,
    buffers: Vec<Vec<u8>>,
    /// Capacity of all buffers.
    bytes: usize,
    /// Frames that the last [`Decoder::piece`] found the header of.
    pub(crate) frames: u32,
}

/// What a partial costs beside the message in it.
const PARTIAL_BYTES: usize = size_of::<PartialMessage>() + CONTROL_MAX + ALLOCATIONS_BYTES;
/// The allocator's own part of its three pieces, and the rounding of a control frame's.
const ALLOCATIONS_BYTES: usize = 128;

/// Unmasked, checked and copied before the next such piece: it stays in the processor's first cache meanwhile, which
/// takes a sixth off the time of a message of 1 MiB.
const STRIDE: usize = 16 << 10;

/// Kept of each kind, and of all buffers together; what is more is given back to the allocator.
const SPARES_MAX: usize = 16;
const SPARE_BYTES_MAX: usize = 4 << 20;

impl Spare {
    /// What it keeps at most.
    pub(crate) const BYTES_MAX: usize = SPARE_BYTES_MAX + SPARES_MAX * PARTIAL_BYTES;

    /// `None` where it would be more than there is room for.
    fn take_partial(&mut self, limits: &MessageLimits) -> Option<Box<PartialMessage>> {
        let room = limits.room.checked_sub(PARTIAL_BYTES)?;
        let mut partial = self.partials.pop().unwrap_or_default();
        if !limits.in_parts && self.buffers.last().is_some_and(|buffer| buffer.capacity() <= room) {
            partial.message = self.buffers.pop().expect("just seen");
            self.bytes -= partial.message.capacity();
        }
        Some(partial)
    }

    /// A partial is clean when it is idle, but for what it counted and its text state.
    fn put_partial(&mut self, mut partial: Box<PartialMessage>) {
        self.put(std::mem::take(&mut partial.message));
        if self.partials.len() < SPARES_MAX {
            (partial.utf8, partial.fragments) = (utf8::Validator::default(), 0);
            (partial.taken, partial.is_given) = (0, false);
            self.partials.push(partial);
        }
    }

    /// Takes the bytes of a message back that nobody looks at any more.
    pub(crate) fn put(&mut self, mut bytes: Vec<u8>) {
        let fits = bytes.capacity() <= SPARE_BYTES_MAX - self.bytes && self.buffers.len() < SPARES_MAX;
        if fits && bytes.capacity() > 0 {
            bytes.clear();
            self.bytes += bytes.capacity();
            self.buffers.push(bytes);
        }
    }
}

impl Decoder {
    /// The memory that it owns.
    pub(crate) fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| PARTIAL_BYTES + partial.message.capacity())
    }

    /// The common case: the input begins with a whole frame, and no other is under way. Gives how many bytes it
    /// was and what it says; `None` calls for [`Decoder::piece`].
    #[inline]
    pub(crate) fn whole(
        &mut self,
        input: &mut [u8],
        limits: &MessageLimits,
    ) -> Result<Option<(usize, Event)>, ProtocolError> {
        if self.partial.is_some() { Ok(None) } else { whole_frame(input, limits) }
    }

    /// Takes what it can from the start of `input`: gives how many bytes that were and what they ended in.
    /// Without an event the input is used up. Limits are checked before a byte is kept.
    pub(crate) fn piece(
        &mut self,
        input: &mut [u8],
        limits: &MessageLimits,
        spare: &mut Spare,
    ) -> Result<(usize, Option<Event>), ProtocolError> {
        let mut room = limits.room;
        let partial = match &mut self.partial {
            Some(partial) => partial,
            none => {
                let partial = spare.take_partial(limits).ok_or(ProtocolError::NoRoom)?;
                room -= PARTIAL_BYTES + partial.message.capacity();
                none.insert(partial)
            }
        };
        // From here on it is what the message may have in all.
        let limits = &MessageLimits { room: room.saturating_add(partial.message.capacity()), ..*limits };
        let (used, event) = partial.step(input, limits)?;
        spare.frames = std::mem::take(&mut partial.frames);
        if partial.is_idle() {
            spare.put_partial(self.partial.take().expect("just used"));
        }
        Ok((used, event))
    }

    /// Both in one.
    #[cfg(test)]
    pub(crate) fn step(
        &mut self,
        input: &mut [u8],
        limits: &MessageLimits,
        spare: &mut Spare,
    ) -> Result<(usize, Option<Event>), ProtocolError> {
        match self.whole(input, limits)? {
            Some((used, event)) => Ok((used, Some(event))),
            None if input.is_empty() => Ok((0, None)),
            None => self.piece(input, limits, spare),
        }
    }
}

/// The common case, a whole unfragmented frame in the input: nothing is copied and nothing kept.
#[inline]
fn whole_frame(input: &mut [u8], limits: &MessageLimits) -> Result<Option<(usize, Event)>, ProtocolError> {
    let Some((header, start)) = header::parse(input, limits.role)? else { return Ok(None) };
    match header.opcode {
        Opcode::Continuation => return Err(ProtocolError::UnexpectedContinuation),
        Opcode::Text | Opcode::Binary if header.len > limits.message_bytes_max as u64 => {
            return Err(ProtocolError::MessageTooBig);
        }
        _ => {}
    }
    if !header.fin || header.len > (input.len() - start) as u64 {
        return Ok(None);
    }
    let end = start + header.len as usize;
    mask::apply(&mut input[start..end], header.mask);
    let payload = Payload::Input(start..end);
    let event = match header.opcode {
        Opcode::Text => {
            utf8::check(&input[start..end]).map_err(|_| ProtocolError::InvalidUtf8)?;
            Event::Message(Opcode::Text, payload)
        }
        Opcode::Binary => Event::Message(Opcode::Binary, payload),
        control => control_event(control, payload, input)?,
    };
    Ok(Some((end, event)))
}

fn control_event(opcode: Opcode, payload: Payload, input: &[u8]) -> Result<Event, ProtocolError> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        _ => {
            let (code, reason) = close::parse(payload.bytes(input))?;
            Ok(Event::Close(code, reason.into()))
        }
    }
}

impl PartialMessage {
    fn is_idle(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.opcode.is_none()
    }

    fn step(
        &mut self,
        input: &mut [u8],
        limits: &MessageLimits,
    ) -> Result<(usize, Option<Event>), ProtocolError> {
        let mut used = 0;
        let stride = if limits.in_parts { usize::MAX } else { STRIDE };
        loop {
            if self.frame.is_none() {
                used += self.take_header(&input[used..], limits)?;
            }
            let Some(frame) = &mut self.frame else { return Ok((used, None)) };
            let end = used + frame.len.min((input.len() - used).min(stride) as u64) as usize;
            mask::apply(&mut input[used..end], frame.mask);
            frame.mask = mask::rotate(frame.mask, end - used);
            frame.len -= (end - used) as u64;
            let (frame, piece) = (*frame, used..end);
            used = end;
            let event = if frame.opcode.is_control() {
                self.take_control(&frame, input, piece)?
            } else {
                self.take_data(&frame, input, piece, limits)?
            };
            if frame.len == 0 {
                self.frame = None;
            }
            if event.is_some() || frame.len > 0 && used == input.len() {
                return Ok((used, event));
            }
        }
    }

    /// Collects header bytes until the header is whole, then opens its frame.
    fn take_header(&mut self, input: &[u8], limits: &MessageLimits) -> Result<usize, ProtocolError> {
        let held = usize::from(self.header_len);
        let fits = input.len().min(MASKED_MAX - held);
        self.header[held..held + fits].copy_from_slice(&input[..fits]);
        match header::parse(&self.header[..held + fits], limits.role)? {
            Some((frame, len)) => {
                self.open(&frame, limits)?;
                self.frames += 1;
                self.frame = Some(frame);
                self.header_len = 0;
                Ok(len - held)
            }
            None => {
                self.header_len = (held + fits) as u8;
                Ok(fits)
            }
        }
    }

    /// Judges a frame by its header, before any byte of its payload is kept.
    fn open(&mut self, frame: &Header, limits: &MessageLimits) -> Result<(), ProtocolError> {
        if frame.opcode.is_control() {
            return Ok(());
        }
        match (frame.opcode == Opcode::Continuation, self.opcode) {
            (true, Some(_)) => {}
            (true, None) => return Err(ProtocolError::UnexpectedContinuation),
            (false, Some(_)) => return Err(ProtocolError::ExpectedContinuation),
            (false, None) => self.opcode = Some(frame.opcode),
        }
        self.fragments += 1;
        if self.fragments > limits.fragments_max {
            return Err(ProtocolError::TooManyFragments);
        }
        if frame.len > limits.message_bytes_max.saturating_sub(self.taken) as u64 {
            return Err(ProtocolError::MessageTooBig);
        }
        Ok(())
    }

    fn take_control(
        &mut self,
        frame: &Header,
        input: &[u8],
        piece: Range<usize>,
    ) -> Result<Option<Event>, ProtocolError> {
        if frame.len == 0 && self.control.is_empty() {
            return control_event(frame.opcode, Payload::Input(piece), input).map(Some);
        }
        self.control.extend_from_slice(&input[piece]);
        debug_assert!(self.control.len() <= CONTROL_MAX);
        if frame.len > 0 {
            return Ok(None);
        }
        let payload = Payload::Owned(std::mem::take(&mut self.control));
        control_event(frame.opcode, payload, input).map(Some)
    }

    fn take_data(
        &mut self,
        frame: &Header,
        input: &[u8],
        piece: Range<usize>,
        limits: &MessageLimits,
    ) -> Result<Option<Event>, ProtocolError> {
        let opcode = self.opcode.expect("a data frame was opened");
        let is_last = frame.len == 0 && frame.fin;
        self.taken += piece.len();
        if opcode == Opcode::Text {
            self.utf8.push(&input[piece.clone()]).map_err(|_| ProtocolError::InvalidUtf8)?;
            if is_last {
                self.utf8.finish().map_err(|_| ProtocolError::InvalidUtf8)?;
            }
        }
        if is_last {
            // With its message over, what is left of this is dropped.
            self.opcode = None;
        }
        // One that was begun otherwise goes on so, should the setting change meanwhile.
        if self.is_given || limits.in_parts && self.message.is_empty() {
            if piece.is_empty() && !is_last {
                return Ok(None);
            }
            let is_first = !std::mem::replace(&mut self.is_given, true);
            return Ok(Some(Event::Part(opcode, Part { range: piece, is_first, is_last })));
        }
        grow(&mut self.message, piece.len(), limits)?;
        self.message.extend_from_slice(&input[piece]);
        let message = |bytes| Event::Message(opcode, Payload::Owned(bytes));
        Ok(is_last.then(|| message(std::mem::take(&mut self.message))))
    }
}

/// Makes room for `more` bytes: twice what there was, so that a message in many pieces is not copied for each, but
/// no more than a message may have, and little of what others may need more.
fn grow(message: &mut Vec<u8>, more: usize, limits: &MessageLimits) -> Result<(), ProtocolError> {
    let (needed, capacity) = (message.len() + more, message.capacity());
    if needed <= capacity {
        return Ok(());
    }
    let spare = limits.room.checked_sub(needed).ok_or(ProtocolError::NoRoom)?;
    let ahead = needed.saturating_add(spare / 8).min(limits.message_bytes_max);
    message.reserve_exact((2 * capacity).min(ahead).max(needed) - message.len());
    Ok(())
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
